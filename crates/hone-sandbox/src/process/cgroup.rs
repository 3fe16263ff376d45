//! Control groups, version 2: what a sandbox's processes may have together, enforced by the kernel.
//!
//! One group for each program and each session, below a group that is ours to divide. Where there is none, for example
//! because version 1 is in use or nothing was delegated to this user, sandboxes do with less: see [`super::guarantees`].
//! Semantics: <https://docs.kernel.org/admin-guide/cgroup-v2.html>.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Limits;

/// What begins the names of our groups. Then come the PID namespace, the process, its time of start, and a number.
const NAME: &str = "hone-";
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
/// Memory for what is ours in a program's group: the two processes that watch it.
const OURS: u64 = 32 << 20;
/// In which a group may have its share of the processors, in microseconds.
const PERIOD: u64 = 100_000;

/// A group that is ours to divide: sandboxes are put into groups below it.
#[derive(Debug)]
pub struct Groups {
    base: PathBuf,
    /// Whether processor time can be bounded too.
    processors: bool,
    owner: Owner,
    /// Those that could not be removed at once.
    left: Mutex<Vec<PathBuf>>,
}

impl Groups {
    /// Finds one, and removes what Hones that have been killed left there. The error says why there is none.
    pub(crate) fn find() -> Result<Self, String> {
        // Of two at once, one might find the other half-way.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |file: &str| fs::read_to_string(file).map_err(|e| format!("{file}: {e}"));
        let own = own_path(&read("/proc/self/cgroup")?).ok_or("cgroup v2 is not in use")?;
        let own = folder(&read("/proc/self/mountinfo")?, &own).ok_or("cgroup v2 is not mounted")?;
        let owner = Owner::me().ok_or("/proc cannot be read")?;
        let base = base(&own, &owner)?;
        let groups = Self {
            processors: lists(&base.join("cgroup.subtree_control"), "cpu"),
            base,
            owner,
            left: Mutex::default(),
        };
        groups.sweep();
        Ok(groups)
    }

    /// Whether a bound of processors is one.
    pub(crate) fn bound_processors(&self) -> bool {
        self.processors
    }

    /// A group with bounds, empty.
    pub(crate) fn make(&self, limits: &Limits) -> io::Result<Group> {
        self.retry();
        // Several of these may be one process's.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.base.join(self.owner.name(&number.to_string()));
        fs::create_dir(&path)?;
        let group = Group { path };
        let bounded = group.bound(limits, self.processors);
        if bounded.is_err() {
            self.end(&group);
        }
        bounded.map(|()| group)
    }

    /// Ends what is in a group and removes it, now or as soon as it can be.
    pub(crate) fn end(&self, group: &Group) {
        if !remove(&group.path) {
            self.left
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(group.path.clone());
        }
    }

    fn retry(&self) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|path| !matches!(fs::remove_dir(path), Ok(())) && path.exists());
    }

    /// Removes the groups of Hones that are no more.
    fn sweep(&self) {
        let names = fs::read_dir(&self.base).into_iter().flatten().flatten();
        for path in names.map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if Owner::of(name).is_some_and(|owner| owner.has_ended(self.owner.namespace)) {
                remove(&path);
            }
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.retry();
    }
}

/// The group of one sandbox.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
}

impl Group {
    fn bound(&self, limits: &Limits, processors: bool) -> io::Result<()> {
        // What is written to files in memory counts as memory here.
        let memory = limits.memory.saturating_add(limits.disk).saturating_add(OURS);
        self.write("memory.max", &memory.to_string())?;
        // All together: what is left of a program without some of its processes is of no use.
        self.write("memory.oom.group", "1")?;
        // Where swap is not accounted for there is no such file.
        match self.write("memory.swap.max", "0") {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        if let Some(n) = limits.processors.filter(|_| processors) {
            self.write("cpu.max", &format!("{} {PERIOD}", u64::from(n) * PERIOD))?;
        }
        // Ours are counted too.
        self.write("pids.max", &limits.processes.saturating_add(3).to_string())
    }

    /// Moves a process, with all its threads, into it.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// How many processes ended because the group had more memory than it may.
    pub fn killed(&self) -> u64 {
        fs::read_to_string(self.path.join("memory.events"))
            .ok()
            .and_then(|text| number(&text, "oom_kill"))
            .unwrap_or(0)
    }

    /// Processor time of all that were in it.
    pub fn cpu(&self) -> Duration {
        let text = fs::read_to_string(self.path.join("cpu.stat")).unwrap_or_default();
        Duration::from_micros(number(&text, "usage_usec").unwrap_or(0))
    }

    /// The most memory that it had at a time, files in memory with it, in bytes; 0 where Linux does not say.
    pub fn peak(&self) -> u64 {
        let text = fs::read_to_string(self.path.join("memory.peak")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        write(&self.path.join(file), text)
    }
}

/// Writes to a file that is there: others cannot be made, which would be the error then.
fn write(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

/// Whether the group is gone.
fn remove(path: &Path) -> bool {
    let _ = write(&path.join("cgroup.kill"), "1");
    // What was killed takes a moment to go.
    for wait in [0, 1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
        std::thread::sleep(Duration::from_millis(wait));
        match fs::remove_dir(path) {
            Ok(()) => return true,
            Err(e) if e.kind() == ErrorKind::NotFound => return true,
            Err(_) => {}
        }
    }
    false
}

/// The value of a line `key value`.
fn number(text: &str, key: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

/// This process's group as the hierarchy of version 2 names it, from `/proc/self/cgroup`.
fn own_path(text: &str) -> Option<PathBuf> {
    text.lines()
        .find_map(|line| line.strip_prefix("0::"))
        .map(PathBuf::from)
}

/// The folder of a group, from `/proc/self/mountinfo`: below the first mount of the hierarchy that shows it.
fn folder(mounts: &str, group: &Path) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = place.split(' ').skip(3);
        let (root, point) = (plain(fields.next()?), plain(fields.next()?));
        // Of a mount from outside of the namespace the root is above us: it begins with `/..`.
        let below = group.strip_prefix(&root).ok()?;
        Some(Path::new(&point).join(below))
    })
}

/// A path of `/proc/self/mountinfo` without its escapes.
fn plain(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// Whether a controller stands in a list of them.
fn lists(file: &Path, name: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().any(|other| other == name)
}

/// Whether all that we need stand there.
fn has(file: &Path) -> bool {
    CONTROLLERS.iter().all(|name| lists(file, name))
}

fn enable(group: &Path) -> io::Result<()> {
    let file = group.join("cgroup.subtree_control");
    write(&file, &CONTROLLERS.map(|name| format!("+{name}")).join(" "))?;
    if lists(&group.join("cgroup.controllers"), "cpu") {
        // Without it there is less, but not nothing.
        let _ = write(&file, "+cpu");
    }
    Ok(())
}

/// Where groups can be made by a process whose own is `own`. Only the hierarchy's root may hold processes and divide what
/// it has, so that others must be beside ours or ours must move down into one of its own.
fn base(own: &Path, me: &Owner) -> Result<PathBuf, String> {
    let can_divide = |group: &Path| has(&group.join("cgroup.subtree_control")) && can_make(group, me);
    let parent = own.parent().filter(|parent| parent.join("cgroup.procs").exists());
    if can_divide(own) {
        return Ok(own.to_owned());
    }
    if let Some(parent) = parent.filter(|parent| can_divide(parent)) {
        return Ok(parent.to_owned());
    }
    if !has(&own.join("cgroup.controllers")) {
        return Err(format!("{} has no controllers for memory and processes", own.display()));
    }
    if !can_make(own, me) {
        return Err(format!(
            "no groups can be made in {}: it was not delegated",
            own.display()
        ));
    }
    if enable(own).is_ok() {
        return Ok(own.to_owned());
    }
    let members = fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
    if members.lines().any(|pid| pid != me.pid.to_string()) {
        return Err(format!("{} holds other processes beside this one", own.display()));
    }
    let refused = |e: io::Error| format!("{} cannot be divided: {e}", own.display());
    let leaf = own.join(me.name("self"));
    fs::create_dir(&leaf).map_err(refused)?;
    let moved = write(&leaf.join("cgroup.procs"), &me.pid.to_string()).and_then(|()| enable(own));
    match moved {
        Ok(()) => Ok(own.to_owned()),
        Err(e) => {
            let _ = write(&own.join("cgroup.procs"), &me.pid.to_string());
            let _ = fs::remove_dir(&leaf);
            Err(refused(e))
        }
    }
}

fn can_make(group: &Path, me: &Owner) -> bool {
    let probe = group.join(me.name("probe"));
    fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).is_ok()
}

/// Whose a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    /// The PID namespace that numbers the process: other containers may see the same groups.
    namespace: u64,
    pid: u32,
    /// When the process started: numbers are used again.
    started: u64,
}

impl Owner {
    fn me() -> Option<Self> {
        let pid = std::process::id();
        Some(Self {
            namespace: fs::metadata("/proc/self/ns/pid").ok()?.ino(),
            pid,
            started: started(pid)?,
        })
    }

    fn of(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(NAME)?.split('-');
        let owner = Self {
            namespace: parts.next()?.parse().ok()?,
            pid: parts.next()?.parse().ok()?,
            started: parts.next()?.parse().ok()?,
        };
        parts.next().map(|_| owner)
    }

    fn name(&self, end: &str) -> String {
        format!("{NAME}{}-{}-{}-{end}", self.namespace, self.pid, self.started)
    }

    /// Whether that is known, in the PID namespace `here`.
    fn has_ended(&self, here: u64) -> bool {
        self.namespace == here && started(self.pid) != Some(self.started)
    }
}

/// When a process that has not ended started, in ticks since the machine did.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    // A zombie has ended.
    let runs = !matches!(fields.next()?, "Z" | "X");
    fields.nth(18)?.parse().ok().filter(|_| runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str =
        "24 1 0:22 / /proc rw - proc proc rw\n30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "32 31 0:35 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                          41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_groups_folder_follows_from_what_proc_says() {
        let own = |text: &str| own_path(text).unwrap();
        let group = own("12:memory:/m\n0::/user.slice/a b.scope\n");
        assert_eq!(folder(V2, &group), Some("/sys/fs/cgroup/user.slice/a b.scope".into()));
        assert_eq!(folder(HYBRID, &own("0::/")), Some("/sys/fs/cgroup/unified/".into()));
        // A container that sees a part of it.
        let part = "30 23 0:26 /docker/1 /sys/fs/cgroup\\040x ro - cgroup2 cgroup ro\n";
        assert_eq!(folder(part, &own("0::/docker/1/x")), Some("/sys/fs/cgroup x/x".into()));
        assert_eq!(folder(part, &own("0::/docker/2")), None);
        assert_eq!(folder("", &group), None);
        assert_eq!(own_path("3:memory:/x\n"), None);
    }

    #[test]
    fn numbers_and_owners_are_read() {
        let events = "low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(number(events, "oom_kill"), Some(2));
        assert_eq!(number("oom_kill x\n", "oom_kill"), None);
        let owner = Owner {
            namespace: 4_026_531_836,
            pid: 12,
            started: 345,
        };
        for name in [
            owner.name("0"),
            owner.name("self"),
            "hone-4026531836-12-345-7".to_owned(),
        ] {
            assert_eq!(Owner::of(&name), Some(owner), "{name}");
        }
        for other in ["hone-1-12", "hone-1-12-345", "hone-x-1-2-3", "user-1-2-3-4"] {
            assert_eq!(Owner::of(other), None, "{other}");
        }
    }

    #[test]
    fn who_has_ended_is_known() {
        let me = Owner::me().unwrap();
        assert!(!me.has_ended(me.namespace));
        let other = Owner {
            started: me.started + 1,
            ..me
        };
        assert!(other.has_ended(me.namespace) && !other.has_ended(me.namespace + 1));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        // Until it is waited for it is a zombie.
        while started(child.id()).is_some() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(Path::new(&format!("/proc/{}", child.id())).exists());
        child.wait().unwrap();
        assert_eq!(started(u32::MAX), None);
    }

    /// Plain files in a group's place: what is chosen, and why nothing is.
    #[test]
    fn the_group_to_divide_is_ours_or_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let above = folder.path().join("above");
        let own = above.join("own");
        fs::create_dir_all(&own).unwrap();
        let say = |group: &Path, controllers: &str, control: &str, members: &str| {
            fs::write(group.join("cgroup.controllers"), controllers).unwrap();
            fs::write(group.join("cgroup.subtree_control"), control).unwrap();
            fs::write(group.join("cgroup.procs"), members).unwrap();
        };
        let me = &Owner::me().unwrap();
        say(&above, "cpu memory pids", "", "");
        say(&own, "cpu", "", "");
        assert!(base(&own, me).unwrap_err().contains("no controllers"));
        say(&own, "cpu memory pids", "cpu memory pids", "");
        assert_eq!(base(&own, me), Ok(own.clone()));
        say(&own, "cpu", "", "");
        say(&above, "cpu memory pids", "memory pids", "");
        assert_eq!(base(&own, me), Ok(above.clone()));
        // Not the folder that the hierarchy is mounted on.
        fs::remove_file(above.join("cgroup.procs")).unwrap();
        say(&own, "memory pids", "", "");
        assert_eq!(base(&own, me), Ok(own.clone()));
        assert_eq!(
            fs::read_to_string(own.join("cgroup.subtree_control")).unwrap(),
            "+memory +pids"
        );
        let names = fs::read_dir(&own).unwrap().flatten().map(|entry| entry.file_name());
        assert_eq!(names.filter(|name| name.to_string_lossy().starts_with(NAME)).count(), 0);
    }
}
