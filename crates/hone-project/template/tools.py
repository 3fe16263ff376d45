"""Tools of the help desk. Every public function is one: its type hints become the schema, its docstring the description.

ValueError and LookupError are shown to the agent; any other exception is a bug of the tool, and the episode does not count.
Each episode runs in a fresh process, so plain variables are its state.
"""

from datetime import date

outbox = []


def days_between(start: str, end: str) -> int:
    """Count the days from one date to another.

    start: the first day, such as 2026-03-02
    end: the last day
    """
    return (date.fromisoformat(end) - date.fromisoformat(start)).days


days_between.read_only = True


def send_email(to: str, subject: str, text: str) -> str:
    """Send an e-mail to a customer.

    to: the e-mail address
    """
    if "@" not in to:
        raise ValueError(f"{to} is no e-mail address; the customer's record has it")
    outbox.append({"to": to, "subject": subject, "text": text})
    return "sent"


def state():
    """What checkers can look at: /tools/outbox."""
    return {"outbox": outbox}
