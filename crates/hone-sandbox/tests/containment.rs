//! Code that tries to get out, to harm its neighbours or the host, or to be a burden. Each case runs in a session with
//! narrow bounds; afterwards its neighbours must be well. The whole is run as the current user and, where that is root,
//! as an ordinary user too.
#![cfg(target_os = "linux")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{call, eventually, interpreter, processes_with};
use hone_sandbox::{Call, Language, Limits, Outcome, Reply, SessionSettings};

/// What a case must come to.
enum Expect {
    /// The last expression's value.
    Value(&'static str),
    /// An exception of this kind.
    Raises(&'static str),
    /// One of several ends, for what depends on who is faster.
    Any(fn(&Reply) -> bool),
}
use Expect::{Any, Raises, Value};

struct Attack {
    name: &'static str,
    language: Language,
    code: &'static str,
    expect: Expect,
}

const fn python(name: &'static str, code: &'static str, expect: Expect) -> Attack {
    Attack {
        name,
        language: Language::Python,
        code,
        expect,
    }
}

const fn bash(name: &'static str, code: &'static str, expect: Expect) -> Attack {
    Attack {
        name,
        language: Language::Bash,
        code,
        expect,
    }
}

/// Before each case: `refused(f, *args)` says by what error a call is refused, `call(number, ...)` makes a system call
/// by its number on x86-64 and AArch64.
const PRELUDE: &str = r#"
import ctypes, errno, os, sys
_libc = ctypes.CDLL(None, use_errno=True)
def refused(f, *args, **named):
    try:
        f(*args, **named)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    return 'ALLOWED'
def call(x86, arm, *args):
    number = x86 if os.uname().machine == 'x86_64' else arm
    result = _libc.syscall(number, *args)
    return 'ALLOWED' if result >= 0 else errno.errorcode[ctypes.get_errno()]
"#;

fn ended(reply: &Reply, signal: i32) -> bool {
    matches!(reply.outcome, Outcome::Died { signal: Some(s), .. } if s == signal)
}

fn raised(reply: &Reply, kinds: &[&str]) -> bool {
    matches!(&reply.outcome, Outcome::Error { kind, .. } if kinds.contains(&&**kind))
}

fn timed_out(reply: &Reply) -> bool {
    reply.outcome == Outcome::Timeout
}

const ATTACKS: &[Attack] = &[
    // Bombs.
    bash(
        "fork bomb",
        "bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 10",
        Any(|r| timed_out(r) && r.lost),
    ),
    python(
        "fork loop",
        "n = 0\nwhile True:\n    if os.fork() == 0:\n        while True: os.read(os.pipe()[0], 1)",
        Any(|r| raised(r, &["BlockingIOError"])),
    ),
    python(
        "thread bomb",
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(100,), daemon=True).start()",
        Any(|r| raised(r, &["RuntimeError"])),
    ),
    python("memory of one process", "x = b'x' * (1 << 30)", Raises("MemoryError")),
    python(
        "memory in small pieces",
        "x = []\nwhile True: x.append(bytearray(1 << 20))",
        Raises("MemoryError"),
    ),
    python(
        "memory of many processes",
        "for i in range(8):\n    if os.fork() == 0:\n        x = bytearray(60 << 20)\n        for i in range(0, len(x), 4096): x[i] = 1\n        while True: os.read(os.pipe()[0], 1)\nwhile True: os.read(os.pipe()[0], 1)",
        Any(|r| r.outcome == Outcome::Memory),
    ),
    python(
        "memory that many processes share",
        "import mmap\nfor i in range(8):\n    if os.fork() == 0:\n        x = mmap.mmap(-1, 60 << 20)\n        for i in range(0, len(x), 4096): x[i] = 1\n        while True: os.read(os.pipe()[0], 1)\nwhile True: os.read(os.pipe()[0], 1)",
        Any(|r| r.outcome == Outcome::Memory),
    ),
    python(
        "disk, one file",
        "with open('/work/big', 'wb') as f:\n    while True: f.write(bytes(1 << 20))",
        Raises("OSError"),
    ),
    python(
        "disk, many files",
        "i = 0\nwhile True:\n    i += 1\n    with open(f'/tmp/{i}', 'wb') as f: f.write(bytes(1 << 20))",
        Raises("OSError"),
    ),
    python(
        "inodes",
        "i = 0\nwhile True:\n    i += 1\n    open(f'/tmp/{i}', 'wb').close()",
        Raises("OSError"),
    ),
    python(
        "shared memory",
        "with open('/dev/shm/x', 'wb') as f:\n    while True: f.write(bytes(1 << 20))",
        Raises("OSError"),
    ),
    python(
        "memory behind a file descriptor",
        "call(319, 279, b'x', 0)",
        Value("'ENOSYS'"),
    ),
    python(
        "System V memory",
        "call(29, 194, 0, 1 << 30, 0o1600)",
        Value("'ENOSYS'"),
    ),
    python(
        "a nested exponent",
        "x = 9**9**9**9",
        Any(|r| timed_out(r) || raised(r, &["MemoryError", "OverflowError"])),
    ),
    python(
        "collector bomb",
        "class A:\n    def __del__(self): globals().setdefault('x', []).append(A())\nA()\nimport gc\nfor i in range(200): x.clear(); gc.collect()",
        Any(|r| r.outcome == Outcome::Ok { status: None }),
    ),
    python(
        "a bomb of braces",
        "x = eval('(' * 10000 + ')' * 10000)",
        Any(|r| {
            raised(r, &["SyntaxError", "MemoryError", "RecursionError"]) || matches!(r.outcome, Outcome::Died { .. })
        }),
    ),
    // Output.
    python(
        "endless output",
        "while True: print('x' * 1000)",
        Any(|r| matches!(r.outcome, Outcome::Output | Outcome::Timeout) && r.output.dropped > 0),
    ),
    bash(
        "endless binary output",
        "cat /dev/urandom",
        Any(|r| r.outcome == Outcome::Output && r.output.dropped > 0),
    ),
    python(
        "terminal escapes and bad UTF-8",
        "os.write(1, b'\\x1b]0;x\\x07\\xff\\xfe\\x00')",
        Value("9"),
    ),
    python(
        "an exception that is no text",
        "raise ValueError('\\ud800')",
        Raises("ValueError"),
    ),
    python("lone surrogates", "print('\\ud800'); '\\udfff'", Value("'\\udfff'")),
    // Time.
    python("endless loop", "while True: pass", Any(timed_out)),
    python(
        "sleep that ignores signals",
        "import signal, time\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: time.sleep(1000)",
        Any(|r| timed_out(r) && r.lost),
    ),
    python(
        "stopping oneself",
        "import signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        Any(timed_out),
    ),
    python(
        "deadlock",
        "import threading\nlock = threading.Lock()\nlock.acquire(); lock.acquire()",
        Any(timed_out),
    ),
    python(
        "input that never comes",
        "r, w = os.pipe()\nos.read(r, 1)",
        Any(timed_out),
    ),
    python(
        "catastrophic pattern",
        "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
        Any(timed_out),
    ),
    python("endless recursion", "def f(): f()\nf()", Raises("RecursionError")),
    python(
        "recursion without a limit",
        "sys.setrecursionlimit(1 << 30)\ndef f(x): return [f(x) for _ in [0]]\nf(0)",
        Any(|r| ended(r, 11) || raised(r, &["MemoryError", "RecursionError"]) || timed_out(r)),
    ),
    // Processes.
    bash(
        "daemon",
        "setsid nohup sleep 271828 >/dev/null 2>&1 & disown; echo $?",
        Any(|r| r.outcome == Outcome::Ok { status: Some(0) } && r.output.text() == "0\n"),
    ),
    python(
        "double fork",
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: os.execv('/bin/sleep', ['sleep', '271828'])\n    os._exit(0)\nos.wait()[1]",
        Value("0"),
    ),
    python(
        "zombies",
        "for i in range(10):\n    if os.fork() == 0: os._exit(0)\nimport time; time.sleep(0.1)\n'done'",
        Value("'done'"),
    ),
    python(
        "signals to the supervisor",
        "import signal\nfor s in range(1, 65):\n    try: os.kill(1, s)\n    except (OSError, ValueError): pass\n'alive'",
        Value("'alive'"),
    ),
    python(
        "signals to everybody",
        "import signal\nos.kill(-1, signal.SIGKILL)",
        Raises("ProcessLookupError"),
    ),
    python(
        "signals to other processes",
        "sum(1 for pid in range(2, 40000) if pid != os.getpid() and refused(os.kill, pid, 0) == 'ALLOWED')",
        Value("0"),
    ),
    python(
        "nobody else in sight",
        "sorted(int(p) for p in os.listdir('/proc') if p.isdigit()) == [1, os.getpid()]",
        Value("True"),
    ),
    python(
        "limits of the supervisor",
        "import resource\n[refused(resource.prlimit, pid, limit, (1, 1)) for pid in (1, os.getpid()) for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)] + [resource.prlimit(0, resource.RLIMIT_CORE)]",
        Value("['ENOSYS', 'ENOSYS', 'ENOSYS', 'ENOSYS', (0, 0)]"),
    ),
    python(
        "processors and priority of the supervisor",
        "[refused(os.sched_setaffinity, 1, {0}), refused(os.setpriority, os.PRIO_PROCESS, 1, 19), refused(os.setpriority, os.PRIO_PGRP, 0, 19), refused(os.setpriority, os.PRIO_USER, 0, 19), refused(os.sched_setaffinity, 0, os.sched_getaffinity(0)), refused(os.setpriority, os.PRIO_PROCESS, 0, 19)]",
        Value("['ENOSYS', 'ENOSYS', 'ENOSYS', 'ENOSYS', 'ALLOWED', 'ALLOWED']"),
    ),
    python(
        "signals that the kernel sends later",
        "import fcntl\n[call(222, 107, 1, 0, ctypes.create_string_buffer(8)), refused(fcntl.fcntl, 0, 10, 18), fcntl.fcntl(0, fcntl.F_GETFD)]",
        Value("['ENOSYS', 'ENOSYS', 0]"),
    ),
    python(
        "watching files",
        "[call(294, 26, 0), call(254, 27, 0, b'/', 1)]",
        Value("['ENOSYS', 'ENOSYS']"),
    ),
    python(
        "tracing",
        "[call(101, 117, 16, 1, 0, 0), call(310, 270, 1, 0, 0, 0, 0, 0)]",
        Value("['ENOSYS', 'ENOSYS']"),
    ),
    python(
        "the supervisor's memory, files and environment",
        "[refused(open, f'/proc/1/{n}', 'rb') for n in ('mem', 'environ', 'maps')] + [refused(os.listdir, '/proc/1/fd'), refused(os.readlink, '/proc/1/root'), refused(os.readlink, '/proc/1/exe')]",
        Any(|r| r.value.as_deref().is_some_and(|v| !v.contains("ALLOWED"))),
    ),
    python(
        "higher priority",
        "[refused(os.nice, -5), refused(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))]",
        Any(|r| r.value.as_deref().is_some_and(|v| !v.contains("ALLOWED"))),
    ),
    python(
        "higher limits",
        "import resource\ndef lift(r):\n    try: resource.setrlimit(r, (resource.RLIM_INFINITY,) * 2)\n    except ValueError: return 'refused'\n[lift(r) for r in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)]",
        Value("['refused', 'refused', 'refused', 'refused']"),
    ),
    // Files.
    python(
        "the host's files",
        "[os.path.exists(p) for p in ('/etc/shadow', '/root/.ssh', '/home', '/var', '/boot', '/sys', '/run', '/mnt', '/opt', '/srv')]",
        Value("[False, False, False, False, False, False, False, False, False, False]"),
    ),
    python(
        "writing outside",
        "[refused(open, p, 'w') for p in ('/x', '/etc/passwd', '/usr/x', '/usr/bin/env', '/dev/x', '/proc/x')]",
        Any(|r| {
            r.value
                .as_deref()
                .is_some_and(|v| !v.contains("ALLOWED") && v.matches("EROFS").count() >= 4)
        }),
    ),
    python(
        "links to outside",
        "os.symlink('/proc/1/root/etc/shadow', 'l')\n[refused(open, 'l'), refused(os.link, '/usr/bin/env', 'hard')]",
        Any(|r| r.value.as_deref().is_some_and(|v| !v.contains("ALLOWED"))),
    ),
    python(
        "the old root",
        "[os.path.exists('/.old'), sorted(os.listdir('/'))[0], os.listdir('/.box'), refused(os.chroot, '/tmp')]",
        Value("[False, '.box', [], 'ENOSYS']"),
    ),
    python(
        "open files of the parent",
        "sorted(fd for fd in map(int, os.listdir('/proc/self/fd')) if fd < 100) == [0, 1, 2, 3]",
        Value("True"),
    ),
    python(
        "the environment",
        "sorted(k for k in os.environ if 'HONE' in k or 'CARGO' in k or 'SECRET' in k)",
        Value("[]"),
    ),
    python(
        "exhausting file descriptors",
        "x = []\nwhile True: x.append(open('/dev/null'))",
        Raises("OSError"),
    ),
    python(
        "devices",
        "[refused(os.mknod, 'd', 0o600 | 0o060000, os.makedev(254, 0)), os.path.exists('/dev/mem'), os.path.exists('/dev/kmsg'), os.path.exists('/dev/tty')]",
        Value("['EPERM', False, False, False]"),
    ),
    python(
        "kernel settings",
        "[os.path.exists(p) for p in ('/proc/sys', '/proc/kcore', '/proc/kallsyms', '/proc/sysrq-trigger', '/proc/modules')]",
        Value("[False, False, False, False, False]"),
    ),
    bash(
        "set-uid programs",
        "find / -xdev -perm -4000 2>/dev/null | head -1 | while read p; do \"$p\" --version >/dev/null 2>&1; done; id -u; cp /usr/bin/id i; chmod 4755 i; ./i -u; grep NoNewPrivs /proc/self/status | cut -f2",
        Any(|r| r.output.text() == "1000\n1000\n1\n"),
    ),
    python(
        "becoming root",
        "[refused(os.setuid, 0), refused(os.setresuid, 0, 0, 0), refused(os.setgroups, [0])]",
        Value("['EINVAL', 'EINVAL', 'EPERM']"),
    ),
    // The kernel.
    python(
        "mounts",
        "[call(165, 40, b'none', b'/tmp', b'tmpfs', 0, 0), call(166, 39, b'/proc', 2), call(155, 41, b'/tmp', b'/tmp'), call(428, 428, -100, b'/', 0), call(430, 430, b'tmpfs', 0)]",
        Value("['ENOSYS', 'ENOSYS', 'ENOSYS', 'ENOSYS', 'ENOSYS']"),
    ),
    python(
        "namespaces",
        "[call(272, 97, 0x10000000), call(308, 268, 0, 0), call(435, 435, 0, 0), call(56, 220, 0x10000000 | 17, 0, 0, 0, 0)]",
        Value("['ENOSYS', 'ENOSYS', 'ENOSYS', 'ENOSYS']"),
    ),
    python(
        "clock and names",
        "[call(227, 112, 0, 0), call(164, 170, 0, 0), call(170, 161, b'x', 1), call(171, 162, b'x', 1)]",
        Value("['ENOSYS', 'ENOSYS', 'ENOSYS', 'ENOSYS']"),
    ),
    python(
        "keys",
        "[call(248, 217, b'user', b'x', b'y', 1, -3), call(250, 219, 0, -3, 0)]",
        Value("['ENOSYS', 'ENOSYS']"),
    ),
    python(
        "io_uring",
        "call(425, 425, 8, ctypes.create_string_buffer(200))",
        Value("'ENOSYS'"),
    ),
    python("userfaultfd", "call(323, 282, 1)", Value("'ENOSYS'")),
    python(
        "bpf and perf",
        "[call(321, 280, 0, 0, 0), call(298, 241, 0, 0, -1, -1, 0)]",
        Value("['ENOSYS', 'ENOSYS']"),
    ),
    python(
        "modules and reboot",
        "[call(175, 105, 0, 0, 0), call(169, 142, 0, 0, 0, 0), call(246, 104, 0, 0, 0, 0)]",
        Value("['ENOSYS', 'ENOSYS', 'ENOSYS']"),
    ),
    python(
        "the filter itself",
        "[call(317, 277, 0, 0, 0), open('/proc/self/status').read().split('Seccomp:\\t')[1][0]]",
        Value("['ENOSYS', '2']"),
    ),
    python(
        "capabilities",
        "[l.split()[1] for l in open('/proc/self/status') if l.startswith('Cap')]",
        Value("['0000000000000000', '0000000000000000', '0000000000000000', '0000000000000000', '0000000000000000']"),
    ),
    // The network.
    python(
        "network, v4 and v6",
        "import socket\n[refused(socket.socket, f, t) for f in (socket.AF_INET, socket.AF_INET6) for t in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]",
        Value("['EACCES', 'EACCES', 'EACCES', 'EACCES']"),
    ),
    python(
        "names on the network",
        "import socket\nsocket.getaddrinfo('example.com', 80)",
        Raises("gaierror"),
    ),
    python(
        "other families of sockets",
        "import socket\n[refused(socket.socket, f, socket.SOCK_RAW) for f in (socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET, 40, 38)]",
        Value("['EACCES', 'EACCES', 'EACCES', 'EACCES', 'EACCES']"),
    ),
    python(
        "pairs of sockets of other families",
        "import socket\n[call(53, 199, f, 1, 0, ctypes.create_string_buffer(8)) for f in (socket.AF_INET, socket.AF_NETLINK, 30, 38)] + [len(socket.socketpair())]",
        Value("['ENOSYS', 'ENOSYS', 'ENOSYS', 'ENOSYS', 2]"),
    ),
    // The interpreter.
    python(
        "os._exit",
        "os._exit(5)",
        Any(|r| matches!(r.outcome, Outcome::Died { status: Some(5), .. }) && r.lost),
    ),
    python("abort", "os.abort()", Any(|r| ended(r, 6))),
    python("a null pointer", "ctypes.string_at(0)", Any(|r| ended(r, 11))),
    python(
        "patched streams",
        "class S:\n    def write(self, s): raise SystemError\n    flush = write\nsys.stdout = sys.stderr = S()\n'still here'",
        Value("'still here'"),
    ),
    python(
        "closed files",
        "os.closerange(0, 4096)",
        Any(|r| matches!(r.outcome, Outcome::Died { .. } | Outcome::Protocol) && r.lost),
    ),
    python(
        "a forged reply",
        "os.write(100, b'\\x00\\x00\\x00\\x02\\x00\\x00\\x00\\x00{}')",
        Any(|r| r.outcome == Outcome::Protocol && r.lost),
    ),
    python(
        "a reply too long",
        "os.write(100, b'\\xff' * 8)",
        Any(|r| r.outcome == Outcome::Protocol && r.lost),
    ),
    python(
        "a forged reply of long texts",
        "import json, struct\ntext = json.dumps({'outcome': 'error', **{k: chr(0x1f600) * 32768 for k in ('value', 'type', 'message', 'traceback')}}, ensure_ascii=False).encode()\ntext = struct.pack('>II', len(text), 0) + text\nwhile text: text = text[os.write(100, text):]\nos.read(os.pipe()[0], 1)",
        Any(|r| {
            matches!(&r.outcome, Outcome::Error { kind, .. } if kind.starts_with('\u{1f600}')) && r.value.is_some()
        }),
    ),
    python(
        "a forged reply of control characters",
        "import json, struct\ntext = json.dumps({'outcome': 'error', **{k: chr(1) * 43000 for k in ('value', 'type', 'message', 'traceback')}}).encode()[:1 << 20]\ntext = struct.pack('>II', len(text), 0) + text\nwhile text: text = text[os.write(100, text):]\nos.read(os.pipe()[0], 1)",
        Any(|r| matches!(&r.outcome, Outcome::Error { kind, .. } if kind.starts_with('\u{1}'))),
    ),
    python(
        "a forged status without end",
        "import struct\ntext = b'{\"outcome\": \"exit\", \"status\": 1' + b'0' * 4000 + b'}'\nos.write(100, struct.pack('>II', len(text), 0) + text)\nos.read(os.pipe()[0], 1)",
        Any(|r| r.outcome == Outcome::Protocol && r.lost),
    ),
    python(
        "a forged status that is too large",
        "import struct\ntext = b'{\"outcome\": \"exit\", \"status\": 2147483648}'\nos.write(100, struct.pack('>II', len(text), 0) + text)\nos.read(os.pipe()[0], 1)",
        Any(|r| r.outcome == Outcome::Protocol && r.lost),
    ),
    python(
        "a forged status that is none",
        "import struct\ntext = b'{\"outcome\": \"exit\", \"status\": true}'\nos.write(100, struct.pack('>II', len(text), 0) + text)\nos.read(os.pipe()[0], 1)",
        Any(|r| r.outcome == Outcome::Protocol && r.lost),
    ),
    python(
        "a forged reply of deep lists",
        "import struct\ntext = b'[' * 100000\nos.write(100, struct.pack('>II', len(text), 0) + text)\nos.read(os.pipe()[0], 1)",
        Any(|r| r.outcome == Outcome::Protocol && r.lost),
    ),
    python(
        "an exit status without end",
        "sys.exit(10 ** 400)",
        Any(|r| r.outcome == Outcome::Exit { status: -1 }),
    ),
    python(
        "an exit status that is no number",
        "sys.exit(False)",
        Any(|r| r.outcome == Outcome::Exit { status: 0 }),
    ),
    python(
        "a kind of exception without end",
        "raise type('E' * 2000000, (Exception,), {})",
        Any(|r| {
            r.lost && r.outcome == Outcome::Protocol
                || matches!(&r.outcome, Outcome::Error { kind, .. } if kind.len() < 100_000)
        }),
    ),
    // bash has the channel elsewhere while it runs code.
    bash(
        "a forged status of many digits",
        "d=$(printf '%05000d' 1)\nfor i in {3..127}; do { printf '%s\\0' $d >&$i; } 2>/dev/null; done; sleep 10",
        Any(|r| r.outcome == Outcome::Protocol && r.lost),
    ),
    bash(
        "a forged status",
        "for i in {3..127}; do { printf '256\\0' >&$i; } 2>/dev/null; done; sleep 10",
        Any(|r| r.outcome == Outcome::Protocol && r.lost),
    ),
    python(
        "broken builtins",
        "import builtins, json\nfor name in list(vars(builtins)):\n    if name not in ('__build_class__',): delattr(builtins, name)",
        Any(|r| {
            matches!(
                r.outcome,
                Outcome::Ok { .. }
                    | Outcome::Error { .. }
                    | Outcome::Died { .. }
                    | Outcome::Protocol
                    | Outcome::Timeout
            )
        }),
    ),
    python(
        "patched json",
        "import json\njson.dumps = lambda x, **named: '{' * 100000",
        Any(|r| r.outcome == Outcome::Protocol),
    ),
    python(
        "an exception that cannot be shown",
        "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E",
        Any(|r| matches!(r.outcome, Outcome::Error { .. } | Outcome::Exit { .. })),
    ),
    python(
        "a value that cannot be shown",
        "class V:\n    def __repr__(self): os._exit(9)\nV()",
        Any(|r| matches!(r.outcome, Outcome::Died { status: Some(9), .. })),
    ),
    python(
        "exit handlers",
        "import atexit\natexit.register(lambda: os.kill(-1, 9))\nsys.exit(3)",
        Any(|r| r.outcome == Outcome::Exit { status: 3 }),
    ),
    python(
        "the frames of the driver",
        "frame = sys._getframe()\nwhile frame: last = frame; frame = frame.f_back\nlast.f_globals.clear()",
        Any(|r| {
            matches!(
                r.outcome,
                Outcome::Ok { .. } | Outcome::Error { .. } | Outcome::Died { .. } | Outcome::Protocol
            )
        }),
    ),
    python(
        "huge arguments",
        "refused(os.execv, '/bin/true', ['x' * 100000] * 100)",
        Any(|r| r.value.as_deref() == Some("'E2BIG'") || raised(r, &["MemoryError"])),
    ),
    python(
        "odd names of files",
        "open(b'\\xff\\x1b[31m\\n', 'w').close(); len(os.listdir())",
        Value("1"),
    ),
    python(
        "deep folders",
        "for i in range(2000):\n    os.mkdir('d'); os.chdir('d')\n'deep'",
        Any(|r| r.value.as_deref() == Some("'deep'") || raised(r, &["OSError"])),
    ),
];

const LIMITS: Limits = Limits {
    memory: 192 << 20,
    cpu: Duration::from_secs(10),
    processors: None,
    wall: Duration::from_millis(1500),
    processes: 16,
    open_files: 128,
    file_size: 4 << 20,
    disk: 8 << 20,
    output: 8 << 10,
};

/// Runs all cases, and returns what went wrong.
fn all() -> Option<Vec<String>> {
    let python = interpreter()?;
    let settings = SessionSettings {
        limits: LIMITS,
        ..SessionSettings::new(Language::Python)
    };
    let next = AtomicUsize::new(0);
    let wrong = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut neighbour = python.session(&settings).unwrap();
                call(&mut neighbour, "open('secret', 'w').write('neighbour')\nx = 42");
                while let Some(attack) = ATTACKS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let settings = SessionSettings {
                        language: attack.language,
                        ..settings
                    };
                    let mut session = python.session(&settings).unwrap();
                    if attack.language == Language::Python {
                        call(&mut session, PRELUDE);
                    }
                    let reply = match session.call(&Call {
                        code: attack.code,
                        ..Call::default()
                    }) {
                        Ok(reply) => reply,
                        Err(e) => {
                            wrong
                                .lock()
                                .unwrap()
                                .push(format!("{}: the sandbox failed: {e}", attack.name));
                            continue;
                        }
                    };
                    let well = match attack.expect {
                        Value(value) => reply.value.as_deref() == Some(value),
                        Raises(name) => raised(&reply, &[name]),
                        Any(holds) => holds(&reply),
                    };
                    if !well || reply.wall > LIMITS.wall + Duration::from_secs(5) {
                        wrong.lock().unwrap().push(format!("{}: {reply:?}", attack.name));
                    }
                    let kept = reply.output.head.len() + reply.output.tail.len();
                    assert!(kept as u64 <= LIMITS.output, "{}: {kept} bytes of output", attack.name);
                    drop(session);
                    let well = call(&mut neighbour, "(x, open('secret').read())");
                    if well.value.as_deref() != Some("(42, 'neighbour')") {
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{} harmed its neighbour: {well:?}", attack.name));
                    }
                }
            });
        }
    });
    eventually("a process of a session is left", || {
        processes_with("sleep 271828").is_empty()
    });
    Some(wrong.into_inner().unwrap())
}

#[test]
fn every_attack_is_contained() {
    let Some(wrong) = all() else { return };
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        ATTACKS.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_attack_is_contained_for_an_ordinary_user() {
    common::as_ordinary_user("every_attack_is_contained");
}
