//! One program from start to end, with its input and output.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::output::Bounded;
use crate::{Cause, End, Error, Limits, Output, Runtime, Spec, Streams};

/// How much longer than the wall time we wait before we end the sandbox from outside.
const GRACE: Duration = Duration::from_secs(5);

/// What came of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub end: End,
    pub stdout: Output,
    pub stderr: Output,
}

/// Runs a program to its end.
pub fn run(runtime: &dyn Runtime, spec: &Spec, stdin: &[u8]) -> Result<Finished, Error> {
    let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(Error::errno("cannot make a pipe"));
    let ((stdin_in, stdin_out), (stdout_in, stdout_out), (stderr_in, stderr_out)) = (pipe()?, pipe()?, pipe()?);
    let streams = Streams {
        stdin: stdin_in,
        stdout: stdout_out,
        stderr: stderr_out,
        channel: None,
    };
    let mut running = runtime.start(spec, streams)?;

    let mut input = Some((plain(stdin_out)?, stdin));
    let mut outputs = [
        (Some(plain(stdout_in)?), Bounded::new(spec.limits.output)),
        (Some(plain(stderr_in)?), Bounded::new(spec.limits.output)),
    ];
    let flood = spec.limits.output.saturating_mul(Limits::FLOOD);
    let deadline = Instant::now() + spec.limits.wall + GRACE;
    let start = Instant::now();
    let mut ours = None;
    loop {
        let mut fds = vec![PollFd::new(running.ended(), PollFlags::POLLIN)];
        let places = outputs
            .each_ref()
            .map(|(file, _)| place(&mut fds, file.as_ref(), PollFlags::POLLIN));
        let writing = place(&mut fds, input.as_ref().map(|(file, _)| file), PollFlags::POLLOUT);
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(Error::errno("cannot wait for the sandbox")(errno)),
        }
        let ready = |place: Option<usize>| place.and_then(|i| fds.get(i)).and_then(PollFd::any) == Some(true);
        let (ended, reading, writing) = (ready(Some(0)), places.map(&ready), ready(writing));
        drop(fds);
        for ((file, kept), ready) in outputs.iter_mut().zip(reading) {
            if ready {
                drain(file, kept);
            }
        }
        if writing {
            feed(&mut input);
        }
        if ended {
            break;
        }
        if outputs.iter().any(|(_, kept)| kept.total() > flood) {
            ours = Some(Cause::Output);
        } else if Instant::now() >= deadline {
            ours = Some(Cause::Wall);
        }
        if ours.is_some() {
            break;
        }
    }
    let end = match ours {
        Some(cause) => {
            running.kill();
            End {
                cause,
                wall: start.elapsed(),
                cpu: Duration::ZERO,
                peak_memory: 0,
            }
        }
        None => running
            .wait(GRACE)?
            .ok_or_else(|| Error::Lost("it ended without a report".to_owned()))?,
    };
    // What was written before the end is still in the pipes.
    for (file, kept) in &mut outputs {
        drain(file, kept);
    }
    let [stdout, stderr] = outputs.map(|(_, kept)| kept.finish());
    Ok(Finished { end, stdout, stderr })
}

fn place<'a>(fds: &mut Vec<PollFd<'a>>, file: Option<&'a File>, events: PollFlags) -> Option<usize> {
    fds.push(PollFd::new(file?.as_fd(), events));
    Some(fds.len() - 1)
}

fn plain(fd: OwnedFd) -> Result<File, Error> {
    fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(Error::errno("cannot prepare a pipe"))?;
    Ok(File::from(fd))
}

/// Reads what is there, but not for ever.
fn drain(file: &mut Option<File>, kept: &mut Bounded) {
    let mut buffer = [0; 64 << 10];
    for _ in 0..16 {
        let Some(open) = file else { return };
        match open.read(&mut buffer) {
            Ok(0) => *file = None,
            Ok(n) => kept.push(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(_) => *file = None,
        }
    }
}

/// Writes what fits; closes the input after the last byte, or when nobody reads it any more.
fn feed(input: &mut Option<(File, &[u8])>) {
    while let Some((file, left)) = input {
        if left.is_empty() {
            *input = None;
            return;
        }
        match file.write(left) {
            Ok(n) => *left = left.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(_) => *input = None,
        }
    }
}
