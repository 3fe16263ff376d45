//! The control group of a session's worker, and of what that starts. Its supervisor stays outside, so that it lives to tell.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};

use super::SessionSettings;
use crate::Error;
use crate::process::cgroup::{Group, Groups};

/// Shared by a session and its branches.
pub(super) struct SessionGroup {
    groups: Arc<Groups>,
    group: Group,
}

impl SessionGroup {
    /// From now on `socket` says who sends: a worker is known by the first thing that it says, before it runs code.
    pub fn new(groups: &Arc<Groups>, settings: &SessionSettings, socket: &UnixStream) -> Result<Arc<Self>, Error> {
        setsockopt(socket, sockopt::PassCred, &true).map_err(Error::errno("cannot ask who sends"))?;
        let group = groups
            .make(&settings.limits)
            .map_err(Error::io("cannot make a control group for the session"))?;
        Ok(Arc::new(Self {
            groups: Arc::clone(groups),
            group,
        }))
    }

    pub fn add(&self, pid: u32) -> Result<(), Error> {
        self.group
            .add(pid)
            .map_err(Error::io("cannot put the session into its control group"))
    }

    pub fn killed(&self) -> u64 {
        self.group.killed()
    }
}

impl Drop for SessionGroup {
    fn drop(&mut self) {
        self.groups.end(&self.group);
    }
}
