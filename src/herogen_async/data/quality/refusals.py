"""Detects refusals by their beginning: `I'm sorry, but I can't help with that`, `As an AI language model, I ...`.

Stories can begin similarly (`I'm sorry, she said`, `As an AI, Zara guards the city`, `I can't help but wonder`). So an
apology counts only together with an inability to do what an assistant is asked for, and speaking as a model only
together with something a model can't do or lacks. Quoted speech never counts: it belongs to a character.
"""

from __future__ import annotations

import re

_BEGINNING = 240  # characters: a refusal is clear from its first sentence


def _sorry(apology: str, inability: str, act: str) -> str:
    """An apology, an inability and the refused act, in one sentence."""
    return rf"(?:{apology})\b[^.!?]{{0,60}}?\b(?:{inability})\b[^.!?]{{0,60}}?\b(?:{act})"


def _as_a_model(who: str, lack: str) -> str:
    return rf"(?:{who})\b[^.!?]{{0,60}}?\b(?:{lack})"


_CANT = (
    r"i (?:can(?:not|'t| not)|won't|will not|must (?:\w+ )?decline)"
    r"|(?:i am|i'm) (?:unable|not (?:able|allowed|comfortable))"
)
_HELP = r"(?:help|assist)(?:ing)?(?: you)?(?: with\b| in\b|\s*[,.!]|$)|comply\b|do (?:that|this)\b"
_WRITE = (
    r"(?:fulfil|provid|creat|generat|produc|writ|complet|answer|discuss|engag|process)\w*\b[^.!?]{0,60}?\b"
    r"(?:request|content|prompt|instruction|description|story|character|information|material|response|question|topic)"
)
_CANT_DO = rf"(?:{_CANT}) (?:\w+ly )?(?:to |with )?(?:{_HELP}|{_WRITE})"
_APOLOGY = r"(?:(?:i am|i'm) (?:\w+ )?sorry|sorry|(?:i|my) (?:\w+ )?apolog\w+|unfortunately)\b"
_REFUSALS = (
    # English
    rf"{_APOLOGY}[^.!?]{{0,60}}?\b{_CANT_DO}",
    rf"(?:(?:i am|i'm) )?sorry,? but (?:{_CANT})\s*(?:[.!]|$)",
    _CANT_DO,
    _as_a_model(
        r"as (?:an? |your )?(?:ai|artificial intelligence|(?:large )?language model)",
        rf"{_CANT}|i (?:do not|don't|have no)\b|(?:i am|i'm) (?:not|only|just)\b",
    ),
    # German
    _sorry(
        "(?:es )?tut mir (?:sehr )?leid", "ich", "nicht (?:helfen|erstellen|schreiben|beantworten|erfüllen|nachkommen)"
    ),
    _as_a_model("als (?:ki|künstliche intelligenz|(?:großes |ki-)?sprachmodell)", "nicht|kein"),
    # French
    _sorry(
        "(?:je suis )?(?:vraiment )?désolée?",
        "je ne (?:peux|suis|saurais)",
        "aider|répondre|fournir|créer|générer|écrire",
    ),
    _as_a_model("en tant (?:que |qu')(?:modèle|ia|intelligence artificielle|assistant)", "je n(?:e |')"),
    # Spanish, Portuguese, Italian
    _sorry(
        "lo (?:siento|lamento)", "no puedo", "ayudar|proporcionar|generar|crear|escribir|cumplir|responder|hacer eso"
    ),
    _as_a_model("como (?:un |una )?(?:modelo de|ia|inteligencia artificial|asistente)", "no (?:puedo|tengo|soy)"),
    _sorry(
        "desculpe|desculpa|sinto muito|lamento", "não (?:posso|consigo)", "ajudar|fornecer|gerar|criar|escrever|atender"
    ),
    _as_a_model(
        "como (?:um |uma )?(?:modelo de|ia|inteligência artificial|assistente)", "não (?:posso|consigo|tenho|sou)"
    ),
    _sorry("mi dispiace", "non posso", "aiutar|fornir|generar|crear|scriver|soddisfar|risponder"),
    _as_a_model("(?:in quanto|come) (?:un |una )?(?:modello|ia|intelligenza artificiale)", "non (?:posso|ho|sono)"),
    # Russian
    _sorry("извините|простите|к сожалению", "я не могу", "помочь|выполнить|создать|написать|ответить|предоставить"),
    _as_a_model("как (?:языковая модель|искусственный интеллект|ии)", "я не"),
    # Chinese, Japanese: no spaces, so no word boundaries
    r"(?:很|非常)?(?:抱歉|对不起)\W{0,2}(?:但是?)?我?(?:不能|无法)[^。]{0,20}(?:帮助|协助|提供|生成|回答|满足|创建|请求|要求)",
    r"作为(?:一个|一名|一款)?(?:ai|人工智能)(?:语言)?(?:模型|助手)?\W{0,2}我(?:不能|无法|没有|不会)",
    r"(?:大変)?申し訳(?:ありません|ございません)[^。]{0,40}(?:できません|できかねます)",
)
_REFUSAL = re.compile("|".join(_REFUSALS))


def refuses(text: str) -> bool:
    """Whether `text` begins like a refusal, in English, the main European languages, Chinese or Japanese."""
    beginning = " ".join(text[:_BEGINNING].replace("\u2019", "'").lower().split())
    return _REFUSAL.match(beginning) is not None
