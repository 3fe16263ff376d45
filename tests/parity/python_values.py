"""Do hone-python's values and expressions behave as CPython's?

    cargo build --release -p hone-python --example python_values
    python3 tests/parity/python_values.py target/release/examples/python_values [--seed 0] [--n 4000]

Asks the example about random values, JSON texts, numbers and expressions (many of them damaged), and compares every answer
with this interpreter's own. Written for CPython 3.11; other versions print and accept a few things differently. Exit status
0: no answer differs.
"""

import argparse
import ast
import json
import random
import re
import struct
import subprocess
import sys
import warnings

warnings.simplefilter("ignore")
CHARS = "abcXYZ019 _-.,'\"\\\n\t\r\x00\x07\x1c\x7f\x85\xa0éßİΣ中文\u200b\u2028\ufeff😀\U0001f468{}[]()=:*/"


def text(r):
    return "".join(r.choice(CHARS) for _ in range(r.choice([0, 1, 2, 3, 5, 9])))


def real(r):
    kind = r.randrange(6)
    if kind == 0:
        return struct.unpack("<d", struct.pack("<Q", r.getrandbits(64)))[0]
    if kind == 1:
        return r.choice([0.0, -0.0, 1e16, 1e15, 123456789012345678.0, 1e-4, 1e-5, 9.5e-5, 5e-324, 1.7976931348623157e308, 0.1, 1e22, 1e23])
    if kind == 2:
        return float(r.randrange(-1000, 1000))
    if kind == 3:
        return r.randrange(-10**6, 10**6) / 10 ** r.randrange(1, 9)
    return r.uniform(-1, 1) * 10 ** r.randrange(-30, 30)


def whole(r):
    return r.choice([r.randrange(-5, 6), r.randrange(-2**40, 2**40), r.randrange(-2**70, 2**70), 2**53 + r.randrange(-2, 3), 2**63 + r.randrange(-2, 3)])


def value(r, depth=0):
    kind = r.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return r.choice([None, True, False])
    if kind == 1:
        return whole(r)
    if kind == 2:
        return real(r)
    if kind < 6:
        return text(r)
    items = [value(r, depth + 1) for _ in range(r.randrange(4))]
    if kind == 6:
        return items
    if kind == 7:
        return tuple(items)
    keys = [r.choice([text, text, whole, real, lambda r: None, lambda r: True])(r) for _ in items]
    if r.random() < 0.5:
        keys = [text(r) for _ in items]
    return {k: v for k, v in zip(keys, items) if k == k}


def source(v):
    """A literal for the value: `repr`, but for infinities and NaN, which have none."""
    if isinstance(v, float) and v != v:
        return "(1e309-1e309)"
    if isinstance(v, float) and v in (float("inf"), float("-inf")):
        return "1e309" if v > 0 else "-1e309"
    if isinstance(v, list):
        return "[" + ", ".join(map(source, v)) + "]"
    if isinstance(v, tuple):
        return "(" + "".join(source(i) + ", " for i in v) + ")"
    if isinstance(v, dict):
        return "{" + ", ".join(f"{source(k)}: {source(i)}" for k, i in v.items()) + "}"
    return repr(v)


def near(r, v):
    """A value that is often equal to `v` and of another type or order."""
    if isinstance(v, bool) or isinstance(v, int):
        return r.choice([v, int(v), float(v) if abs(v) < 2**900 else v, bool(v), v + 1, float(v) + 0.5])
    if isinstance(v, float):
        return r.choice([v, int(v) if v == v and abs(v) != float("inf") else v, v + 1])
    if isinstance(v, (list, tuple)):
        items = [near(r, i) if r.random() < 0.3 else i for i in v]
        return r.choice([items, tuple(items), type(v)(items), type(v)(items), list(v) + [0]])
    if isinstance(v, dict):
        entries = list(v.items())
        r.shuffle(entries)
        return {k: near(r, i) if r.random() < 0.3 else i for k, i in entries}
    return v


ATOMS = ["a", "b.c", "1", "-2", "3.5", "'x'", "u'y'", "r'\\n'", "b'z'", "None", "True", "...", "[]", "{}", "()", "1j", "0x1f", "1_0", "'a' \"b\"", "'''t\nt'''", "f'{a}'", "f'{a!r:>{b}}{{'", "_", "match"]


def expression(r, depth=0):
    e = lambda: expression(r, depth + 1)
    many = lambda n=4: [e() for _ in range(r.randrange(n))]
    if depth > 3 or r.random() < 0.2:
        return r.choice(ATOMS)
    kind = r.randrange(24)
    if kind < 6:
        args = many(3)
        args += r.choice([[], [], ["*" + r.choice(ATOMS)]])
        args += [f"{r.choice('pqr')}={e()}" for _ in range(r.randrange(4))]
        args += r.choice([[], [], [], ["**k"], ["*" + r.choice(ATOMS)]])
        return f"{r.choice(['f', 'a.b.g', 'h'])}({', '.join(args)}{r.choice(['', '', ','] if args else [''])})"
    if kind < 8:
        return "[" + ", ".join(many() + r.choice([[], [], ["*a"]])) + "]"
    if kind == 8:
        return "(" + "".join(i + ", " for i in many()) + ")"
    if kind == 9:
        return "{" + ", ".join([f"{e()}: {e()}" for _ in range(r.randrange(3))] + r.choice([[], ["**a"]])) + "}"
    if kind == 10:
        return "{" + ", ".join([e()] + many()) + "}"
    if kind < 14:
        return f"{e()} {r.choice(['+', '-', '*', '/', '//', '%', '**', '@', '<<', '>>', '|', '&', '^'])} {e()}"
    if kind == 14:
        return f"{r.choice(['-', '+', '~', 'not '])}{e()}"
    if kind == 15:
        return f"{e()} {r.choice(['and', 'or'])} {e()} {r.choice(['and', 'or'])} {e()}"
    if kind == 16:
        return f"{e()} {r.choice(['<', '==', '!=', 'in', 'not in', 'is', 'is not', '>='])} {e()}"
    if kind == 17:
        return f"{e()} if {e()} else {e()}"
    if kind == 18:
        return f"{r.choice(ATOMS)}[{r.choice([e(), '1:2', ':', '::3', 'a:b, c', e() + ', ' + e(), '*a'])}]"
    if kind == 19:
        return f"{r.choice(ATOMS)}.{r.choice(['m', 'n'])}"
    if kind == 20:
        return f"lambda {r.choice(['', 'x', 'x, y=1', '*a, b', '*, b=1, **k', 'x, /, y', 'x=1, y', '*, **k'])}: {e()}"
    if kind == 21:
        opening, closing = r.choice(["[]", "()", "{}"])
        return f"{opening}{e()} for x in {r.choice(ATOMS)}{r.choice(['', ' if ' + r.choice(ATOMS)])}{closing}"
    if kind == 22:
        return f"({r.choice(['x := ' + e(), e(), 'yield', 'yield ' + e()])})"
    return r.choice(["await a", "f(x for x in y)", "not not a", "a if b else lambda: c", "(a)(b=1)", "f(a)(b)[0].c(d=1)"])


def damage(r, s):
    for _ in range(r.randrange(1, 3)):
        i = r.randrange(len(s) + 1)
        s = r.choice([s[:i] + s[i + 1 :], s[:i] + r.choice("()[]{},:=.'\"*-+ \n\\#if1_eaj@!%<") + s[i:], s[:i] + r.choice([" for ", " if ", " not ", " in ", "**", ":=", "==", " lambda ", "...", "\\n", "\\x4", "0", "f'"]) + s[i:]])
    return s


NUMBERS = "0123456789_+-.eEjJxobnaif yn\t\u0663\u0967\u3000\x1c"


def number(r):
    if r.random() < 0.4:
        return r.choice(["", " ", "-", "+"]) + r.choice(["12", "1_000", "007", "1.5", ".5", "5.", "1e5", "1E-3", "inf", "-Infinity", "NaN", "nan", "1__0", "_1", "1_", "0x10", "٣٤", "1_0.0_1", "1e1_0", "infinit", "+-1", "१२"]) + r.choice(["", " ", "\n", "\x1c", "L"])
    return "".join(r.choice(NUMBERS) for _ in range(r.randrange(6)))


def or_error(f):
    try:
        return f()
    except RecursionError:
        raise
    except Exception:
        return "error"


def unparsed(s):
    tree = ast.parse(s, mode="eval")
    kinds = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.JoinedStr, ast.Yield, ast.YieldFrom)
    if any(isinstance(n, kinds) or (isinstance(n, ast.Constant) and n.kind == "u") for n in ast.walk(tree)):
        return None  # Its parts are not kept.
    return ast.unparse(tree)


def dumped(v):
    settings = [{}, {"sort_keys": True}, {"ensure_ascii": False, "separators": (",", ":")}, {"indent": 2, "sort_keys": True}]
    return "\x01".join(or_error(lambda: json.dumps(v, **s)) for s in settings)


def questions(r, n):
    for _ in range(n):
        v = value(r)
        s = source(v)
        yield "repr", s, repr(v)
        yield "str", s, str(v)
        yield "truth", s, repr(bool(v))
        w = near(r, v)
        pair = f"({s}, {source(w)})"
        a, b = eval(pair)  # NaN by value, not by identity
        if "1e309-1e309" not in pair:
            yield "equal", pair, repr(a == b)
        yield "dumps", s, dumped(v)
        x = real(r)
        yield "repr", source(x), repr(x)
        j = or_error(lambda: json.dumps(v, ensure_ascii=r.random() < 0.5))
        for t in (j, damage(r, j)):
            yield "loads", t, or_error(lambda: repr(json.loads(t)))
        t = number(r)
        yield "int", t, or_error(lambda: str(int(t)))
        yield "float", t, or_error(lambda: repr(float(t)))
        t = text(r)
        yield "strip", t, t.strip()
        e = expression(r)
        for t in (e, damage(r, e)):
            yield "parses", t, or_error(lambda: ast.parse(t, mode="eval") and "yes")
            u = or_error(lambda: unparsed(t))
            if u is not None:
                yield "unparse", t, u
        t = r.choice(["{} {} {}", "{} {} ({} + 1)", "-({} {} {})"]).format(source(r.choice([whole, real, lambda r: r.randrange(-9, 9), text])(r)), r.choice(["+", "-", "*", "/", "//", "%", "|", "&", "^"]), source(r.choice([whole, real, lambda r: r.randrange(-9, 9)])(r)))
        w = or_error(lambda: eval(t))
        if not isinstance(w, (complex, str)) or w == "error":
            if not (isinstance(w, str) and w != "error"):
                yield "repr", t, w if w == "error" and isinstance(w, str) else repr(w)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("example")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=4000)
    args = parser.parse_args()
    asked = list(questions(random.Random(args.seed), args.n))
    # A lone surrogate cannot be sent.
    asked = [q for q in asked if not any(0xD800 <= ord(c) < 0xE000 for c in q[1] + q[2]) and not re.search(r"\\ud[89a-f]", q[2])]
    sent = "".join(json.dumps([q, s]) + "\n" for q, s, _ in asked)
    got = subprocess.run([args.example], input=sent, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    assert len(got) == len(asked), (len(got), len(asked))
    bad, counts = 0, {}
    for (question, s, expected), line in zip(asked, got):
        counts[question] = counts.get(question, 0) + 1
        if json.loads(line) != expected:
            bad += 1
            if bad <= 25:
                print(f"differs: {question} of {s!r}:\n  CPython {expected!r}\n  ours    {json.loads(line)!r}", file=sys.stderr)
    print(f"{len(asked)} answers ({', '.join(f'{k} {n}' for k, n in counts.items())}), {bad} differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
