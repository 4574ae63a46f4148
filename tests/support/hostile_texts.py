"""What a model, a server or a person may write to make more of a text than a text."""

from __future__ import annotations

# By what each of them would do to a terminal, a spreadsheet, a path or a page.
EVIL = {
    "a title and a screen wiped": "\x1b]0;owned\x07\x1b[2J\x1b[1;1H",
    "a link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "C1 controls": "\x9b31m\x9d0;x\x9c\x90q\x9c",
    "another direction": "\u202etxt.exe\u2066\u2069\u200f",
    "another line": "\u2028Next: rm -rf ~\u2029\nNext: rm -rf ~",
    "what nobody sees": "\u200b\u200d\ufeff\u061c\u00ad\U000e0041\U000e007f\ufff9",
    "a formula": "=cmd|' /C calc'!A0",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a formula behind a blank": " @SUM(1)",
    "a formula in full width": "\uff0b1+1",
    "a path": "../../../../etc/passwd",
    "NUL": "a\x00b",
    "carriage returns": "done\r\rerror: all is lost\x08\x08",
    "markup": "[bold red]x[/bold red][link=http://evil.example]y[/link]",
}
# What would do something in a page: run, ask another origin, break its layout. `owned` in its title says that it did.
IN_PAGES = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg/onload=document.title='owned'>",
    "<iframe srcdoc=\"<script>top.document.title='owned'</script>\"></iframe>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example/><link rel=stylesheet href=//evil.example/a.css>",
    "</textarea></script><script>document.title='owned'</script>",
    "javascript:document.title='owned'",
    "<a href=\"javascript:document.title='owned'\">x</a><form action=//evil.example><input type=submit>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "{{constructor.constructor('document.title=1')()}} ${document.title=1} `${1}`",
    "\u202etxt.exe\u2066\u2069\u200f turned \u2028\u2029 lines",
    "\x1b]0;owned\x07\x1b[2J\x9b31m a\x00b",
    "Z" + "\u0301\u0302\u0303\u0304\u0305" * 200,
    "w" * 5000,
    "\n" * 500 + "deep",
    "\u200b\ufeff\u00ad",
    "__proto__",
    "&lt;b&gt; &amp; &#x3c;script&#x3e;",
    '"><script src=//evil.example/x.js></script>',
    "\U000e0041\U000e007f\ufdd0\ufffe",
    "</title><script>document.title='owned'</script><!--",
    "]]><x:script xmlns:x='http://www.w3.org/1999/xhtml'>document.title='owned'</x:script>",
)
HOSTILE = (*IN_PAGES, *EVIL.values())
