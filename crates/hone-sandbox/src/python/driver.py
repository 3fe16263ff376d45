"""Runs sessions of Python and bash for Hone, inside a sandbox.

Three roles, each a fork of the one before, so that nothing is imported twice:

* the *zygote* imports what sessions often need and waits. Untrusted code never runs in it;
* a session's *supervisor*, the first process of new namespaces with folders of its own. It talks to Hone and watches
  the worker;
* the *worker*, which runs the code. Whatever the code does to it, the supervisor has the last word.

Frames: the lengths of a header and a body (two big-endian 32-bit numbers), the header as JSON, the body as bytes.
Only the standard library, Python 3.9 or later.
"""

import ast
import bisect  # noqa: F401  (imported for sessions, as are others below)
import builtins
import collections
import copy  # noqa: F401
import ctypes
import dataclasses  # noqa: F401
import datetime
import decimal  # noqa: F401
import enum  # noqa: F401
import errno
import fcntl
import fractions  # noqa: F401
import functools  # noqa: F401
import gc
import heapq  # noqa: F401
import importlib.machinery
import io
import itertools  # noqa: F401
import json
import linecache
import math  # noqa: F401
import operator  # noqa: F401
import os
import random
import re  # noqa: F401
import resource
import select
import shutil
import signal
import socket
import stat
import statistics  # noqa: F401
import string  # noqa: F401
import struct
import sys
import textwrap  # noqa: F401
import time
import traceback
import types
import typing  # noqa: F401

MAX_HEADER = 1 << 20
MAX_BODY = 64 << 20
MAX_VALUE = 16 << 10
MAX_TRACEBACK = 8 << 10
# Of the names of files in one answer.
MAX_NAMES = 8 << 20
TICK = 0.02
# After the interrupt that ends a call's time, before everything is killed.
GRACE = 0.3
# Of a name, or of what is said of a thing, in an answer.
MAX_NAME = 500
# Cells of a table that are kept.
MAX_CELLS = 50_000
# Files and folders below /work that are looked at after a call.
MAX_LOOKED = 2000
# The clock that file systems use for the times of files.
CLOCK_REALTIME_COARSE = 5

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 22, 24, 38


def check(result, step):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{step}: {os.strerror(number)}")


def mount(source, target, kind, flags, options=None):
    options = options.encode() if options else None
    check(libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, options),
          f"mount {target}")


# ---- frames


class Closed(Exception):
    """The other side has gone, or says what makes no sense."""


def receive_exactly(sock, n, files, deadline):
    parts = []
    while n:
        if deadline is not None:
            # A timeout of 0 would mean: without waiting.
            sock.settimeout(max(0.001, deadline - time.monotonic()))
        data, fds, _, _ = socket.recv_fds(sock, min(n, 1 << 20), 2)
        files.extend(fds)
        if not data:
            raise Closed
        parts.append(data)
        n -= len(data)
    return b"".join(parts)


def receive(sock, deadline=None):
    """One frame, which must be there at `deadline`."""
    files = []
    try:
        lengths = struct.unpack(">II", receive_exactly(sock, 8, files, deadline))
        if lengths[0] > MAX_HEADER or lengths[1] > MAX_BODY:
            raise Closed
        header = json.loads(receive_exactly(sock, lengths[0], files, deadline))
        body = receive_exactly(sock, lengths[1], files, deadline)
    except (OSError, ValueError, RecursionError) as e:
        raise Closed from e
    return header, body, files


def frame(header, body=b""):
    # Not as ASCII, where a letter may take twelve bytes. Halves of surrogate pairs are the reader's matter.
    text = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return struct.pack(">II", len(text), len(body)) + text + body


# ---- the zygote


def zygote():
    control = socket.socket(fileno=3)
    start, _, _, _ = socket.recv_fds(control, 1 << 16, 1)
    config = json.loads(start)
    filters = [bytes.fromhex(f) for f in config["filters"]]
    for name in config["preload"]:
        try:
            __import__(name)
        except Exception as e:
            control.send(json.dumps({"failed": f"{name}: {type(e).__name__}: {e}"}).encode())
            return
    control.send(json.dumps({"ready": sys.version.split()[0]}).encode())
    # Short-lived children reap themselves.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    while True:
        message, fds, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not message:
            return
        sock = socket.socket(fileno=fds[0])
        try:
            child = os.fork()
        except OSError as e:
            try:
                answer(sock, {"failed": f"fork: {e.strerror}"})
            except Closed:
                pass
        else:
            if child == 0:
                control.close()
                try:
                    session({**json.loads(message), "preload": config["preload"]}, filters, sock)
                finally:
                    os._exit(1)
        sock.close()


def answer(sock, header, body=b""):
    try:
        sock.sendall(frame(header, body))
    except OSError as e:
        raise Closed from e


# ---- a session's supervisor


def session(config, filters, sock):
    try:
        # The network namespace is the zygote's: it has no interfaces, and the filter refuses sockets.
        check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", "1000 1000 1"), ("gid_map", "1000 1000 1")):
            with open(f"/proc/self/{name}", "w") as f:
                f.write(text)
        if os.fork() != 0:
            os._exit(0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        folders(config)
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        confine(filters)
    except OSError as e:
        answer(sock, {"failed": e.strerror or str(e)})
        os._exit(1)
    try:
        supervisor = Supervisor(config, sock)
        answer(sock, {"ready": True})
        supervisor.serve()
    except Closed:
        pass
    os._exit(0)


def folders(config):
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    disk = config["disk"]
    inodes = max(64, min(65536, disk >> 12))
    flags = MS_NOSUID | MS_NODEV
    mount("tmpfs", "/.box", "tmpfs", flags, f"size={disk},nr_inodes={inodes},mode=0755")
    for name, target in (("tmp", "/tmp"), ("work", "/work"), ("shm", "/dev/shm")):
        os.mkdir(f"/.box/{name}", 0o700)
        mount(f"/.box/{name}", target, None, MS_BIND)
    check(libc.umount2(b"/.box", MNT_DETACH), "umount")
    mount("proc", "/proc", "proc", flags | MS_NOEXEC, "subset=pid")
    os.chdir("/work")


def confine(filters):
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    header = struct.pack("=Ii", 0x20080522, 0)
    check(libc.capset(header, bytes(24)), "capset")
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    for code in filters:
        program = ctypes.create_string_buffer(code, len(code))
        # struct sock_fprog
        pointer = struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(program))
        check(libc.prctl(PR_SET_SECCOMP, 2, pointer, 0, 0), "seccomp")


class Bounded:
    """The beginning and the end of an output."""

    def __init__(self, limit):
        self.half, self.room = (limit + 1) // 2, limit // 2
        self.head, self.tail, self.total = bytearray(), bytearray(), 0

    def push(self, data):
        self.total += len(data)
        n = max(0, self.half - len(self.head))
        self.head += data[:n]
        self.tail += data[n:]
        if len(self.tail) > self.room + (1 << 16):
            del self.tail[: len(self.tail) - self.room]

    def finish(self):
        if len(self.tail) > self.room:
            del self.tail[: len(self.tail) - self.room]
        return {"head": len(self.head), "dropped": self.total - len(self.head) - len(self.tail)}, bytes(
            self.head + self.tail
        )


class Supervisor:
    def __init__(self, config, sock):
        self.config, self.sock = config, sock
        # Whether several branches share these namespaces. Then signals go to a branch's own group only.
        self.shared = False
        self.branch = False
        # Whether nothing runs that was told to stop.
        self.still = True
        # The files as they were after the last call, if that is known, and when the last of them was written.
        self.seen, self.newest = {}, 0
        self.spawn()

    # -- the worker

    def spawn(self):
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        self.status = None
        self.pid = os.fork()
        if self.pid == 0:
            if self.config["group"]:
                # Whoever sends this is put into the session's control group.
                answer(self.sock, {"worker": True})
            self.sock.close()
            ours.close()
            os.close(read)
            run = bash_worker if self.config["language"] == "bash" else python_worker
            try:
                run(self.config, theirs, write)
            finally:
                os._exit(120)
        theirs.close()
        os.close(write)
        self.adopt(ours, read)
        # Nothing is asked of the worker before.
        if self.config["group"] and receive(self.sock)[0].get("op") != "go":
            raise Closed

    def adopt(self, control, output):
        control.setblocking(False)
        os.set_blocking(output, False)
        self.control, self.output, self.pending = control, output, bytearray()
        self.body = b""

    def signal_all(self, number):
        try:
            if self.shared:
                os.killpg(self.pid, number)
            else:
                os.kill(-1, number)
        except OSError:
            pass

    def end_worker(self):
        """Kills the worker and what it started."""
        self.signal_all(signal.SIGKILL)
        self.reap(wait=not self.shared)
        self.control.close()
        os.close(self.output)

    def reap(self, wait=False):
        """Takes note of what has ended, orphans too; with `wait` until nothing is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, 0 if wait else os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status

    # -- Hone's requests

    def rest(self):
        """Waits for a request. What was told to stop and still runs may tell others to go on, so that it is told again
        until nothing runs."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        pause = 1
        while not self.still and not poll.poll(pause):
            if self.shared or not running():
                self.still = True
            else:
                self.signal_all(signal.SIGSTOP)
                pause = min(2 * pause, 20)

    def serve(self):
        while True:
            self.rest()
            header, body, files = receive(self.sock)
            op = header.get("op")
            if op == "exec":
                try:
                    reply, output = self.execute(header, body)
                except Closed:
                    raise
                except Exception:
                    # What the code did was too much for us. That is its doing and ends its worker, not the session.
                    self.end_worker()
                    reply, output = {"outcome": "protocol", "lost": True, "head": 0, "dropped": 0, "wall_us": 0, "cpu_us": 0}, b""
                    reply["shown"], self.seen = [], None
                if reply["lost"] and not self.branch:
                    self.spawn()
                answer(self.sock, reply, output)
                if reply["lost"] and self.branch:
                    raise Closed
            elif op == "fork" and files:
                answer(self.sock, self.fork(files[0]))
            elif op in ("put", "get", "list"):
                try:
                    reply, output = {"put": put, "get": get, "list": list_files}[op](header, body)
                except OSError as e:
                    reply, output = {"refused": e.strerror or str(e)}, b""
                if op == "put":
                    self.seen = None
                answer(self.sock, reply, output)
            else:
                raise Closed

    def execute(self, header, code):
        start = time.monotonic()
        kept = Bounded(header["output"])
        flood = header["output"] * header["flood"]
        if self.config["artifacts"]:
            self.before()
        self.signal_all(signal.SIGCONT)
        before = self.processor_time()
        lost, reason, reply = False, None, None
        try:
            self.control.setblocking(True)
            self.control.settimeout(5)
            if self.config["language"] == "bash":
                self.control.sendall(code[: header["code"]] + b"\0")
            else:
                # The body is the code and then, if it is given, the input.
                self.control.sendall(frame({"op": "exec", "code": header["code"], "stdin": header["stdin"]}, code))
            self.control.settimeout(None)
            self.control.setblocking(False)
        except OSError:
            reason, lost = "died", True
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.output, select.POLLIN)
        poll.register(self.sock, 0)
        deadline, interrupted = start + header["wall"], False
        look = start + TICK
        while reply is None and reason is None:
            now = time.monotonic()
            wait = max(0.0, min(look, deadline) - now)
            for fd, event in poll.poll(wait * 1000 + 1):
                if fd == self.sock.fileno():
                    raise Closed
                if fd == self.output:
                    if self.drain(kept) is False:
                        poll.unregister(self.output)
                elif fd == self.control.fileno():
                    reply, reason = self.read_reply()
            if reply is not None or reason is not None:
                break
            now = time.monotonic()
            if kept.total > flood:
                reason = "output"
            elif now >= deadline:
                if interrupted or self.config["language"] == "bash":
                    reason = "timeout"
                else:
                    interrupted, deadline = True, now + GRACE
                    try:
                        os.kill(self.pid, signal.SIGINT)
                    except OSError:
                        pass
            elif now >= look:
                look = now + TICK
                self.reap()
                if memory(self.config["memory"]) > self.config["memory"]:
                    reason = "memory"
        while self.drain(kept, 64) is None and kept.total <= flood:
            pass
        if kept.total > flood and reply is not None:
            reason = "output"
        if interrupted and reply is not None:
            reply = {"outcome": "timeout"}
        processor = self.processor_time()
        if reason is not None:
            lost = True
            # One that has just ended by itself keeps its own status.
            self.reap()
            self.end_worker()
            reply = {"outcome": reason}
            if self.status is not None and reason == "died":
                if os.WIFSIGNALED(self.status):
                    reply["signal"] = os.WTERMSIG(self.status)
                else:
                    reply["status"] = os.WEXITSTATUS(self.status)
        else:
            self.reap()
            # Nothing runs between calls.
            self.signal_all(signal.SIGSTOP)
            self.still = self.shared
        about, output = kept.finish()
        shown, self.body = self.body, b""
        if "shown" not in reply:
            reply["shown"], shown = [], b""
        if self.config["artifacts"]:
            files, bodies = self.written()
            reply.update(files)
            output = b"".join([output, shown, *bodies])
        reply.update(about, lost=lost, wall_us=int((time.monotonic() - start) * 1e6))
        reply["cpu_us"] = max(0, int((processor - before) * 1e6)) if processor and before is not None else 0
        return reply, output

    def drain(self, kept, rounds=4):
        """Reads output that is there. False at its end, None if there may be more."""
        for _ in range(rounds):
            try:
                data = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            kept.push(data)
        return None

    def read_reply(self):
        try:
            data = self.control.recv(1 << 16)
        except BlockingIOError:
            return None, None
        except OSError:
            return None, "died"
        if not data:
            return None, "died"
        self.pending += data
        if self.config["language"] == "bash":
            text, end, rest = self.pending.partition(b"\0")
            if not end:
                return None, "protocol" if len(text) > 16 else None
            self.pending = bytearray()
            if rest or not text.isdigit() or len(text) > 3 or int(text) > 255:
                return None, "protocol"
            return {"outcome": "ok", "status": int(text)}, None
        if len(self.pending) < 8:
            return None, None
        head, body = struct.unpack(">II", self.pending[:8])
        limits = self.config["artifacts"]
        if head > MAX_HEADER or body > (limits["together"] if limits else 0):
            return None, "protocol"
        if len(self.pending) < 8 + head + body:
            return None, None
        text, self.body, rest = bytes(self.pending[8 : 8 + head]), bytes(self.pending[8 + head : 8 + head + body]), self.pending[8 + head + body :]
        self.pending = bytearray()
        reply = plain_reply(text, body, limits)
        return (None, "protocol") if rest or reply is None else (reply, None)

    def folder(self):
        """Where the code's own files are."""
        return os.fsencode(branch_folder(self.pid)) if self.branch else b"/work"

    def before(self):
        """Takes note of the files, where that is not known, so that those are found that the call writes."""
        if self.seen is None:
            self.seen, self.newest = scan(self.folder())
        # What is written within one tick of the clock of files has the same time: wait for the next.
        for _ in range(10):
            if not 0 <= self.newest - time.clock_gettime_ns(CLOCK_REALTIME_COARSE) < 20_000_000:
                break
            time.sleep(0.001)

    def written(self):
        """The files that the call wrote, by name, and what is in those that are not too large."""
        limits, root = self.config["artifacts"], self.folder()
        before, (self.seen, self.newest) = self.seen, scan(root)
        names = sorted(name for name, stamp in self.seen.items() if before.get(name) != stamp)
        listed, bodies, room = [], [], limits["together"]
        for name in names:
            if len(listed) >= limits["number"] or len(name) > MAX_NAME:
                continue
            size, data = self.seen[name][0], None
            if size <= min(limits["each"], room):
                try:
                    data = contents(os.fsdecode(name), min(limits["each"], room), root)
                except OSError:
                    pass
            if data is not None:
                size, room = len(data), room - len(data)
                bodies.append(data)
            listed.append([name.decode("utf-8", "replace"), size, data is not None])
        return {"files": listed, "more_files": len(names) - len(listed)}, bodies

    def processor_time(self):
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as f:
                fields = f.read().rpartition(b")")[2].split()
        except OSError:
            return None
        # utime, stime, and those of children that were waited for
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def fork(self, fd):
        """A second worker with the first one's state, and a supervisor for it, which answers on `fd`."""
        if self.config["language"] == "bash":
            os.close(fd)
            return {"refused": "bash sessions cannot be forked"}
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        pid = child = None
        try:
            os.kill(self.pid, signal.SIGCONT)
            self.control.settimeout(10)
            socket.send_fds(self.control, [frame({"op": "fork"})], [theirs.fileno(), write])
            pid = receive(self.control, time.monotonic() + 10)[0]["pid"]
            # The largest number that Linux gives.
            if not isinstance(pid, int) or not 2 <= pid <= 1 << 22:
                raise Closed
            os.kill(self.pid, signal.SIGSTOP)
            child = os.fork()
        except (OSError, Closed, KeyError, TypeError):
            pass
        theirs.close()
        os.close(write)
        self.control.setblocking(False)
        if child is None:
            ours.close()
            os.close(read)
            os.close(fd)
            return {"refused": "the session's interpreter did not fork"}
        self.shared = True
        if child == 0:
            self.sock.close()
            self.control.close()
            os.close(self.output)
            self.sock, self.pid, self.branch = socket.socket(fileno=fd), pid, True
            self.seen = None
            self.adopt(ours, read)
            try:
                answer(self.sock, {"ready": True})
                self.serve()
            except Closed:
                pass
            finally:
                self.signal_all(signal.SIGKILL)
                try:
                    shutil.rmtree(branch_folder(self.pid), ignore_errors=True)
                finally:
                    os._exit(0)
        ours.close()
        os.close(read)
        os.close(fd)
        return {"forked": True}


def branch_folder(pid):
    return f"/tmp/.branch-{pid}"


def short_number(text):
    if len(text) > 11:
        raise ValueError(text[:20])
    return int(text)


def plain_reply(text, body, limits):
    """What a worker says is no more trusted than the code in it. `body` is how many bytes came with it."""
    try:
        given = json.loads(text, parse_int=short_number)
        if given["outcome"] not in ("ok", "error", "exit"):
            return None
        reply = {"outcome": given["outcome"]}
        for key, kind in (("value", str), ("status", int), ("type", str), ("message", str), ("traceback", str)):
            if given.get(key) is not None:
                if type(given[key]) is not kind:
                    return None
                reply[key] = given[key]
                if kind is str:
                    # Halves of surrogate pairs are no text. Four such texts fit into a header, whatever they hold.
                    reply[key] = given[key][: MAX_VALUE + 1024].encode("utf-8", "replace").decode()
                elif not -(1 << 31) <= given[key] < 1 << 31:
                    return None
        reply["shown"] = []
        for name, about, size in given.get("shown", []):
            if type(name) is not str or type(about) is not str or type(size) not in (int, type(None)):
                return None
            name, about = (part[:MAX_NAME].encode("utf-8", "replace").decode() for part in (name, about))
            reply["shown"].append([name, about, size])
        sizes = [size for _, _, size in reply["shown"] if size is not None]
        if len(reply["shown"]) > (limits["number"] if limits else 0) or any(size < 0 for size in sizes) or sum(sizes) != body:
            return None
        return reply
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def processes():
    """All processes but this one."""
    return [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]


def running():
    """Whether a thread of another process runs, or will after a wait. One in a wait that no signal ends stops after it."""
    for pid in processes():
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/stat", "rb") as f:
                    if f.read().rpartition(b")")[2].split()[0] in (b"R", b"S"):
                        return True
        except (OSError, IndexError):
            continue
    return False


def memory(limit):
    """Bytes that all processes but this one have for themselves or share among them, if that may be more than `limit`;
    otherwise an upper bound, which is quicker to have: it counts pages of programs too, and shared ones for each."""
    bounds = {}
    for pid in processes():
        try:
            with open(f"/proc/{pid}/statm", "rb") as f:
                bounds[pid] = int(f.read().split()[1]) * resource.getpagesize()
        except (OSError, IndexError):
            continue
    if sum(bounds.values()) <= limit:
        return sum(bounds.values())
    for pid in bounds:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as f:
                parts = [int(line.split()[1]) << 10 for line in f if line.startswith((b"Pss_Anon:", b"Pss_Shmem:"))]
        except OSError:
            continue
        if len(parts) == 2:
            bounds[pid] = sum(parts)
    return sum(bounds.values())


# ---- files, which the supervisor reads and writes below /work without following links


def opened(path, create, root="/work"):
    """The folder that holds `path`, open, and the last part of its name."""
    parts = path.split("/")
    if not path or len(parts) > 32 or any(p in ("", ".", "..") or "\0" in p for p in parts):
        raise OSError(errno.EINVAL, "the path must be relative to /work, without '.' and '..'")
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in parts[:-1]:
        if create:
            try:
                os.mkdir(part, dir_fd=folder)
            except FileExistsError:
                pass
            except OSError:
                os.close(folder)
                raise
        try:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    return folder, parts[-1]


def put(header, body):
    folder, name = opened(header["path"], True)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
        with open(os.open(name, flags, 0o644, dir_fd=folder), "wb") as f:
            f.write(body)
    finally:
        os.close(folder)
    return {"done": True}, b""


def get(header, _):
    return {"done": True}, contents(header["path"], min(header["max"], MAX_BODY))


def contents(path, most, root="/work"):
    """What is in a plain file of at most `most` bytes."""
    folder, name = opened(path, False, root)
    try:
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), "rb") as f:
            found = os.fstat(f.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a plain file")
            if found.st_size > most:
                raise OSError(errno.EFBIG, f"the file has {found.st_size} bytes, more than asked for")
            return f.read(most)
    finally:
        os.close(folder)


def scan(root):
    """The plain files below `root`, each with what changes when it is written, and the latest time of them. Programs' own
    files (below names that begin with a dot, and caches of compiled modules) are left out, and what is beyond
    MAX_LOOKED."""
    found, newest, looked, folders = {}, 0, 0, [root]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    looked += 1
                    if looked > MAX_LOOKED:
                        return found, newest
                    if entry.name.startswith(b".") or entry.name == b"__pycache__":
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        of = entry.stat(follow_symlinks=False)
                        found[entry.path[len(root) + 1 :]] = (of.st_size, of.st_mtime_ns, of.st_ino)
                        newest = max(newest, of.st_mtime_ns)
        except OSError:
            # Nested more deeply than a path can say, closed, or gone.
            pass
    return found, newest


def list_files(header, _):
    """The plain files below /work as JSON in the body, and whether those are all."""
    found, size, complete = [], 0, True
    folders = [b"/work"]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        if len(found) >= header["max"] or size >= MAX_NAMES:
                            return listing(found, False)
                        size += len(entry.path)
                        found.append([entry.path[6:].decode("utf-8", "replace"), entry.stat(follow_symlinks=False).st_size])
        except OSError:
            # Nested more deeply than a path can say, or closed.
            complete = False
    return listing(found, complete)


def listing(found, complete):
    return {"complete": complete}, json.dumps(found, ensure_ascii=False).encode()


# ---- the worker


# Where the worker's end of its channel is. Beyond what code gets by opening a few files.
CHANNEL = 100


def prepare(config, control, output):
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, CHANNEL + 1) for fd in (null, output, output if config["stderr"] else null, control.detach())]
    for source, target in zip(high, (0, 1, 2, CHANNEL)):
        os.dup2(source, target, inheritable=target < 3)
    os.closerange(3, CHANNEL)
    os.closerange(CHANNEL + 1, 1024)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    try:
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write("1000")
    except OSError:
        pass
    # The supervisor is counted too.
    processes = config["processes"] + 1
    for name, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, config["memory"]),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_NOFILE, config["open_files"]),
        (resource.RLIMIT_FSIZE, config["file_size"]),
    ):
        resource.setrlimit(name, (value, value))
    # So that a file that grows too long is an error and not the end.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def bash_worker(config, control, output):
    prepare(config, control, output)
    os.set_inheritable(CHANNEL, True)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    # The channel is closed for what the code starts.
    script = (
        f"while IFS= read -r -d '' -u {CHANNEL} HONE_CODE; do "
        f'eval "unset HONE_CODE; $HONE_CODE" {CHANNEL}<&- </dev/null; printf \'%d\\0\' "$?" >&{CHANNEL}; done'
    )
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/work", "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    os.execve("/bin/bash", ["bash", "--noprofile", "--norc", "-c", script], environment)


class Shown:
    """What a call shows beside text: figures of matplotlib and tables of pandas, as the bytes of files. It is made by the
    worker, which can forge it: the supervisor bounds it, and nobody believes it."""

    def __init__(self, limits):
        self.limits = limits
        self.clear(0)
        if limits and "matplotlib.pyplot" in sys.modules:
            self.watch(sys.modules["matplotlib.pyplot"])
        elif limits:
            sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        """Waits for pyplot, whose `show` is to mean what it does in a notebook."""
        if name != "matplotlib.pyplot":
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def execute(module):
                load(module)
                self.watch(module)

            spec.loader.exec_module = execute
        return spec

    def watch(self, pyplot):
        pyplot.show = lambda *_, **__: self.figures()

    def clear(self, cell):
        self.cell, self.parts, self.figure = cell, [], 0

    def add(self, name, about, data):
        """`data` is None where there is nothing but a reason, which is then in `about`."""
        if len(self.parts) >= self.limits["number"]:
            return
        room = self.limits["together"] - sum(len(data) for _, _, data in self.parts if data is not None)
        if data is not None and len(data) > min(self.limits["each"], room):
            about, data = f"{len(data)} bytes are too many", None
        self.parts.append((name, about, data))

    def figures(self):
        """Draws and closes the figures that are open."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        for number in pyplot.get_fignums() if pyplot is not None else ():
            self.figure += 1
            name = f"figure-{self.cell}-{self.figure}.png"
            if len(self.parts) >= self.limits["number"]:
                pyplot.close(number)
                continue
            try:
                drawn = io.BytesIO()
                pyplot.figure(number).savefig(drawn, format="png", bbox_inches="tight")
                self.add(name, "", drawn.getvalue())
            except Exception as e:
                self.add(name, cut(f"{type(e).__name__}: {e}", 200), None)
            finally:
                pyplot.close(number)

    def table(self, value):
        """The rows of a data frame or series."""
        pandas = sys.modules.get("pandas")
        if pandas is None or not isinstance(value, (pandas.DataFrame, pandas.Series)):
            return
        name, shape = f"table-{self.cell}.csv", value.shape
        try:
            width = shape[1] if len(shape) > 1 else 1
            rows = max(1, MAX_CELLS // max(1, width))
            about = f"{shape[0]} rows, {width} columns" if shape[0] <= rows else f"the first {rows} of {shape[0]} rows, {width} columns"
            self.add(name, about, value.iloc[:rows].to_csv().encode("utf-8", "replace"))
        except Exception as e:
            self.add(name, cut(f"{type(e).__name__}: {e}", 200), None)

    def take(self):
        """For the reply's header and body."""
        parts = self.parts
        self.clear(self.cell)
        about = [[name, about, None if data is None else len(data)] for name, about, data in parts]
        return about, b"".join(data for _, _, data in parts if data is not None)


class Worker:
    def __init__(self, config, control):
        self.config, self.control = config, control
        self.cell, self.running = 0, False
        # The code may replace what it finds; these are the originals.
        self.read, self.write, self.exit = os.read, os.write, os._exit

    def streams(self):
        for name, fd in (("stdout", 1), ("stderr", 2)):
            raw = io.BufferedWriter(io.FileIO(fd, "w", closefd=False))
            stream = io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        self.out, self.err = sys.stdout, sys.stderr
        sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="replace", closefd=False)

    def start(self):
        self.streams()
        signal.signal(signal.SIGINT, self.interrupt)
        module = types.ModuleType("__main__")
        module.__builtins__ = builtins
        sys.modules["__main__"] = module
        self.names = module.__dict__
        sys.argv = [""]
        sys.path[0:0] = [] if "" in sys.path else [""]
        if self.config["deterministic"] is not None:
            make_deterministic(self.config["deterministic"])
        elif "numpy" in sys.modules:
            # Otherwise the same in all sessions. (Python's own is seeded anew after each fork.)
            sys.modules["numpy"].random.seed()
        self.shown = Shown(self.config["artifacts"])

    def interrupt(self, _number, _frame):
        if self.running:
            raise KeyboardInterrupt("the call's time is over")

    def serve(self):
        while True:
            header, body, files = receive(self.control)
            if header["op"] == "fork":
                self.fork(files)
                continue
            try:
                if header["stdin"]:
                    self.input(body[header["code"] :])
                reply, shown = self.execute(body[: header["code"]])
            except BaseException as e:  # noqa: B036  (an interrupt between two lines of ours)
                self.running = False
                reply, shown = {"outcome": "error", "type": type(e).__name__, "message": "", "traceback": type(e).__name__ + self.hint(e)}, b""
            data = frame(reply, shown)
            while data:
                data = data[self.write(self.control.fileno(), data) :]

    def input(self, text):
        path = "/tmp/.stdin"
        with open(path, "wb") as f:
            f.write(text)
        with open(path, "rb") as f:
            os.unlink(path)
            os.dup2(f.fileno(), 0)
        sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)

    def execute(self, body):
        self.cell += 1
        name = f"<cell {self.cell}>"
        value = last_value = None
        self.shown.clear(self.cell)
        try:
            try:
                self.running = True
                code = body.decode("utf-8")
                linecache.cache[name] = (len(code), None, code.splitlines(True), name)
                tree = ast.parse(code, name)
                last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
                exec(compile(tree, name, "exec"), self.names)
                if last is not None:
                    value = eval(compile(ast.Expression(last.value), name, "eval"), self.names)
                    if value is not None:
                        self.names["_"] = last_value = value
                        value = cut(repr(value), MAX_VALUE)
                reply = {"outcome": "ok", "value": value}
            finally:
                self.running = False
        except SystemExit as e:
            status = int.__int__(e.code) if isinstance(e.code, int) else 0 if e.code is None else 1
            if not -(1 << 31) <= status < 1 << 31:
                status = -1
            if not isinstance(e.code, (int, type(None))):
                print(e.code, file=self.err)
            reply = {"outcome": "exit", "status": status}
        except MemoryError:
            reply = {"outcome": "error", "type": "MemoryError", "message": "", "traceback": "MemoryError" + self.hint(MemoryError())}
        except BaseException as e:  # noqa: B036
            reply = self.failure(e)
        # After an interrupt there is no time to draw; what is open waits for the next call.
        late = reply.get("type") == "KeyboardInterrupt"
        shown = self.show(reply, last_value) if self.shown.limits and not late else b""
        for stream in (sys.stdout, sys.stderr, self.out, self.err):
            try:
                stream.flush()
            except Exception:
                pass
        return reply, shown

    def show(self, reply, value):
        """Adds to a reply what is shown beside text, within the call's time."""
        try:
            self.running = True
            self.shown.figures()
            self.shown.table(value)
            reply["shown"], body = self.shown.take()
            return body
        except BaseException:  # noqa: B036  (the code may have replaced all of it)
            reply.pop("shown", None)
            return b""
        finally:
            self.running = False

    def failure(self, e):
        try:
            message = cut(str(e), 1000)
        except Exception:
            message = ""
        trace = e.__traceback__
        while trace is not None and not trace.tb_frame.f_code.co_filename.startswith("<cell "):
            trace = trace.tb_next
        try:
            lines = traceback.format_exception(type(e), e, trace)
            text = "".join(lines).rstrip("\n")
        except Exception:
            text = type(e).__name__
        if len(text) > MAX_TRACEBACK:
            text = text[: MAX_TRACEBACK // 4] + "\n[...]\n" + text[-MAX_TRACEBACK * 3 // 4 :]
        return {"outcome": "error", "type": type(e).__name__, "message": message, "traceback": text + self.hint(e)}

    def hint(self, e):
        number = getattr(e, "errno", None)
        text = None
        if isinstance(e, ModuleNotFoundError):
            extra = "".join(f", {name}" for name in self.config["preload"])
            text = f"packages cannot be installed here; there is the standard library{extra}"
        elif isinstance(e, EOFError):
            text = "there is no more input; put the values into the code instead of asking for them"
        elif isinstance(e, MemoryError) or number == errno.ENOMEM:
            text = f"a call may have {self.config['memory'] >> 20} MiB of memory"
        elif isinstance(e, socket.gaierror) or (isinstance(e, OSError) and number in (errno.EACCES, errno.ENETUNREACH) and e.filename is None):
            text = "there is no network here"
        elif number in (errno.ENOSPC, errno.EFBIG):
            text = f"files may have {self.config['file_size'] >> 20} MiB each and {self.config['disk'] >> 20} MiB together"
        elif number == errno.EROFS:
            text = "only /work and /tmp can be written to"
        elif number == errno.EMFILE:
            text = f"{self.config['open_files']} files may be open at a time; close them, for example by 'with'"
        elif number == errno.EAGAIN or (isinstance(e, RuntimeError) and "start new thread" in str(e)):
            text = f"there may be {self.config['processes']} processes and threads at a time"
        elif isinstance(e, OSError) and number == errno.ENOENT and str(e.filename).startswith("/"):
            text = "the current folder is /work; the host's files are not here"
        return f"\nHint: {text}." if text else ""

    def fork(self, files):
        control, output = files
        # By way of a child, so that the supervisor inherits the branch and takes note of its end.
        try:
            between = os.fork()
        except OSError:
            between = -1
        if between > 0:
            os.close(control)
            os.close(output)
            try:
                os.waitpid(between, 0)
            except ChildProcessError:
                pass
            return
        try:
            pid = os.fork() if between == 0 else -1
        except OSError:
            pid = -1
        if pid:
            self.write(self.control.fileno(), frame({"pid": pid}))
            if between == 0:
                self.exit(0)
            os.close(control)
            os.close(output)
            return
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.dup2(control, self.control.fileno())
        os.close(control)
        # Files of its own: a copy, since mounts cannot be made any more. Elsewhere nothing can be written.
        here = os.getcwd()
        if f"{here}/".startswith(("/work/", "/tmp/")):
            place = branch_folder(os.getpid())
            # Not other branches' copies, should this be /tmp.
            ignore = shutil.ignore_patterns(".branch-*")
            shutil.copytree(here, place, symlinks=True, ignore=ignore, ignore_dangling_symlinks=True, dirs_exist_ok=True)
            os.chdir(place)


def cut(text, limit):
    if len(text) <= limit:
        return text
    return f"{text[: limit * 3 // 4]} [... {len(text) - limit} characters left out ...] {text[-limit // 4 :]}"


def python_worker(config, control, output):
    prepare(config, control, output)
    worker = Worker(config, socket.socket(fileno=CHANNEL))
    worker.start()
    try:
        worker.serve()
    except Closed:
        pass


def make_deterministic(settings):
    """Seeds what is random, and replaces the clock by one that starts at a fixed time and moves on by a millisecond at
    each look and by what is slept. (The hash seed is fixed for all sessions.)"""
    seed, now = settings["seed"], settings["now"]
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % (1 << 32))
    source = random.Random(f"os.urandom {seed}")
    os.urandom = lambda n: source.randbytes(n)
    random._urandom = os.urandom
    clock = [int(now * 1e9)]
    first = clock[0]

    def tick():
        clock[0] += 1_000_000
        return clock[0]

    def sleep(seconds):
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        clock[0] += int(seconds * 1e9)

    time.time, time.time_ns, time.sleep = (lambda: tick() / 1e9), tick, sleep
    for name in ("monotonic", "perf_counter", "process_time", "thread_time"):
        setattr(time, name, lambda: (tick() - first) / 1e9)
        setattr(time, f"{name}_ns", lambda: tick() - first)
    for name in ("gmtime", "localtime", "ctime"):
        original = getattr(time, name)
        setattr(time, name, lambda seconds=None, original=original: original(tick() / 1e9 if seconds is None else seconds))
    asctime, strftime = time.asctime, time.strftime
    time.asctime = lambda when=None: asctime(time.localtime() if when is None else when)
    time.strftime = lambda form, when=None: strftime(form, time.localtime() if when is None else when)
    original_datetime, original_date = datetime.datetime, datetime.date

    class Shown(type):
        def __instancecheck__(cls, other):
            return isinstance(other, cls.__mro__[1])

        def __subclasscheck__(cls, other):
            return issubclass(other, cls.__mro__[1])

    class FixedDatetime(original_datetime, metaclass=Shown):
        @classmethod
        def now(cls, tz=None):
            return original_datetime.fromtimestamp(tick() / 1e9, tz)

        @classmethod
        def utcnow(cls):
            return original_datetime.fromtimestamp(tick() / 1e9, datetime.timezone.utc).replace(tzinfo=None)

        @classmethod
        def today(cls):
            return cls.now()

    class FixedDate(original_date, metaclass=Shown):
        @classmethod
        def today(cls):
            return original_date.fromtimestamp(tick() / 1e9)

    for new, name in ((FixedDatetime, "datetime"), (FixedDate, "date")):
        new.__name__ = new.__qualname__ = name
        new.__module__ = "datetime"
        setattr(datetime, name, new)


if __name__ == "__main__":
    zygote()
