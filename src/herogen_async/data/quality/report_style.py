"""The look of the report: one column of text, light and dark, from 320 pixels up, and on paper. Pure."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#1d2125;--quiet:#5b636b;--page:#fff;--raised:#f5f6f8;--line:#dfe3e7;--link:#0063a0;
--good:#007a58;--warn:#b84a00}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--quiet:#a2abb4;--page:#16191c;--raised:#20252a;--line:#353c43;
--link:#7cc4f5;--good:#3ecf9f;--warn:#ff9a57}}
*{box-sizing:border-box}html{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);background:var(--page);margin:0}
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;line-height:1.3;margin:3rem 0 .8rem;padding-top:1.2rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.6rem 0 .4rem}h4{font-size:1rem;margin:0}p{margin:.5rem 0}
a{color:var(--link);text-decoration-thickness:1px;text-underline-offset:.15em}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin-top:.8rem;font-size:.95rem}
.lead{font-size:1.1rem;color:var(--quiet);margin:0;overflow-wrap:anywhere}.quiet{color:var(--quiet);font-size:.92rem}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.4rem;margin:1.6rem 0 0}
dl.facts dt{color:var(--quiet)}dl.facts dd{margin:0;overflow-wrap:anywhere}
.text{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext;margin:0}
.box{background:var(--raised);border-radius:.5rem;padding:.8rem 1rem;margin:.4rem 0}
.card{border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.15rem;margin:.8rem 0}
.card h4{display:flex;flex-wrap:wrap;align-items:baseline;gap:.2rem .7rem}.card .box{margin-bottom:0}
.cell{color:var(--quiet);font-size:.92rem;margin:.15rem 0 .6rem;overflow-wrap:anywhere}
.label{color:var(--quiet);font-size:.85rem;margin:.7rem 0 .15rem}
.kind{font-size:.8rem;font-weight:600;color:var(--warn);border:1px solid currentColor;border-radius:1rem;
padding:0 .55rem;text-decoration:none;white-space:nowrap}
.card:target{border-color:var(--link);box-shadow:0 0 0 1px var(--link)}
details>summary{cursor:pointer;list-style:none}summary::-webkit-details-marker{display:none}
.more{display:inline-block;margin-top:.3rem;color:var(--link);font-size:.92rem;text-decoration:underline;
text-underline-offset:.15em}details[open]>summary .start,details[open]>summary .open,
details:not([open])>summary .close{display:none}details[open]>summary .more{margin:0 0 .3rem}
code{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.command{display:block;color:var(--quiet);margin-top:.7rem;overflow-wrap:anywhere;user-select:all}
.warn,.good{border-left:4px solid var(--warn);background:var(--raised);border-radius:0 .4rem .4rem 0;
padding:.45rem .9rem;margin:.5rem 0}.good{border-color:var(--good)}
.rows{display:flex;flex-wrap:wrap;gap:.1rem .8rem;margin:.5rem 0 0;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto;margin:.6rem 0 1rem}table{border-collapse:collapse}
td,th{text-align:left;padding:.3rem 1rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--quiet);font-weight:500;font-size:.92rem}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td:last-child,th:last-child{padding-right:0}td.t{overflow-wrap:anywhere;min-width:12rem;font-size:.95rem}
.chart{overflow-x:auto;margin:.8rem 0;padding:.9rem;background:#fff;border-radius:.5rem}
.chart img{display:block;max-width:100%;min-width:34rem;height:auto;margin:auto}
.values{columns:15rem;column-gap:2.5rem}.values>div{break-inside:avoid}.values table{width:100%}
.values .wide{margin:0 0 1.4rem}.values td:first-child{overflow-wrap:anywhere}.zero{color:var(--warn);font-weight:600}
@media(max-width:34rem){main{padding:1.3rem 1rem 3rem}h1{font-size:1.55rem}h2{margin-top:2.2rem}
dl.facts{grid-template-columns:1fr;gap:0}dl.facts dd{margin-bottom:.6rem}.card{padding:.85rem .9rem}
td,th{padding-right:.7rem}}
@media print{main{max-width:none;padding:0}.card,.chart,.warn,.good{break-inside:avoid}nav{display:none}}
""".strip()
