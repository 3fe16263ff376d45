//! Frames between us and a session's supervisor: the lengths of a header and a body, the header as JSON, the body.

use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg};
use serde::Serialize;
use serde_json::Value;

/// As in the driver.
const MAX_HEADER: usize = 1 << 20;
/// Of files, code and output.
pub(super) const MAX_BODY: usize = 64 << 20;

pub(super) fn write(
    socket: &mut UnixStream,
    header: &impl Serialize,
    body: &[u8],
    timeout: Duration,
) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let most = if header.len() > MAX_HEADER {
        "its head (1 MiB)"
    } else {
        "it (64 MiB)"
    };
    if header.len() > MAX_HEADER || body.len() > MAX_BODY {
        let what = format!("the message has more than fits into {most}");
        return Err(io::Error::new(ErrorKind::InvalidInput, what));
    }
    let mut bytes = Vec::with_capacity(8 + header.len() + body.len());
    bytes.extend((header.len() as u32).to_be_bytes());
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(&header);
    bytes.extend(body);
    socket.set_write_timeout(Some(timeout))?;
    socket.write_all(&bytes)
}

/// Reads one frame that must be there at `deadline`.
pub(super) fn read(socket: &mut UnixStream, deadline: Instant) -> io::Result<(Value, Vec<u8>)> {
    let mut lengths = [0; 8];
    fill(socket, &mut lengths, deadline)?;
    rest(socket, lengths, deadline)
}

/// Reads one frame as [`read`] does, and says which process began it, as this namespace numbers it, if the socket tells.
pub(super) fn read_from(socket: &mut UnixStream, deadline: Instant) -> io::Result<(Value, Vec<u8>, Option<u32>)> {
    let mut lengths = [0; 8];
    let (mut filled, mut sender) = (0, None);
    while filled == 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let mut space = nix::cmsg_space!(UnixCredentials);
        let mut parts = [IoSliceMut::new(&mut lengths)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Ok(message) if message.bytes == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(message) => {
                filled = message.bytes;
                for control in message.cmsgs()? {
                    if let ControlMessageOwned::ScmCredentials(credentials) = control {
                        sender = u32::try_from(credentials.pid()).ok().filter(|pid| *pid != 0);
                    }
                }
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Err(ErrorKind::TimedOut.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
    fill(socket, lengths.get_mut(filled..).unwrap_or_default(), deadline)?;
    let (header, body) = rest(socket, lengths, deadline)?;
    Ok((header, body, sender))
}

fn rest(socket: &mut UnixStream, lengths: [u8; 8], deadline: Instant) -> io::Result<(Value, Vec<u8>)> {
    let length = |i: usize| u32::from_be_bytes([lengths[i], lengths[i + 1], lengths[i + 2], lengths[i + 3]]) as usize;
    let (header, body) = (length(0), length(4));
    if header > MAX_HEADER || body > MAX_BODY {
        return Err(io::Error::new(ErrorKind::InvalidData, "a message that is too long"));
    }
    let mut text = vec![0; header];
    fill(socket, &mut text, deadline)?;
    let mut bytes = vec![0; body];
    fill(socket, &mut bytes, deadline)?;
    Ok((serde_json::from_slice(&text)?, bytes))
}

fn fill(socket: &mut UnixStream, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => buffer = buffer.get_mut(n..).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
