//! What passes between the program that wants a sandbox and the helper that makes it: packets of JSON over a socket.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{self, ControlMessage, ControlMessageOwned, MsgFlags};
use serde::{Deserialize, Serialize};

use crate::{End, Spec};

/// The largest packet. The kernel's default for what waits in a socket is twice as much.
const PACKET: usize = 100 << 10;

/// The order to the helper. The streams come with it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub spec: Spec,
    /// Who the code is on the host, where the helper is root and can choose.
    pub uid: u32,
    pub channel: bool,
}

/// What the helper reports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The program is about to start: everything is isolated.
    Ready,
    /// A step of the setting up failed; nothing was run.
    Failed {
        step: String,
        errno: i32,
    },
    /// The program could not be executed.
    NoProgram {
        errno: i32,
    },
    End(End),
}

/// Sends one packet, and open files with it.
pub(crate) fn send(socket: BorrowedFd<'_>, packet: &impl Serialize, files: &[RawFd]) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(packet).map_err(|_| Errno::EINVAL)?;
    if bytes.len() > PACKET {
        return Err(Errno::EMSGSIZE);
    }
    let control = [ControlMessage::ScmRights(files)];
    let control = if files.is_empty() { &[][..] } else { &control[..] };
    socket::sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&bytes)],
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

/// Receives one packet and the open files that came with it. `None` at the end.
pub(crate) fn receive<T: for<'a> Deserialize<'a>>(socket: BorrowedFd<'_>) -> Result<Option<(T, Vec<OwnedFd>)>, Errno> {
    let mut bytes = vec![0; PACKET];
    let mut space = nix::cmsg_space!([RawFd; 4]);
    let (n, files) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = loop {
            match socket::recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        let mut files = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                // SAFETY: the kernel has just made these descriptors for us, and nobody else knows them.
                files.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        (message.bytes, files)
    };
    if n == 0 {
        return Ok(None);
    }
    let packet = serde_json::from_slice(bytes.get(..n).unwrap_or_default()).map_err(|_| Errno::EBADMSG)?;
    Ok(Some((packet, files)))
}
