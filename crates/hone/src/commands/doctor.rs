//! `hone doctor`: what works on this machine.

use crate::console::{print, print_json, table};
use crate::data::{self, State};
use crate::models::Local;
use crate::train::resolve;
use hone_engine::Level;
use serde::Serialize;
use serde_json::json;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, Stdio};

/// Say what works on this machine, and what to do about the rest.
///
/// Each line is ok, limited or missing. Nothing that is missing keeps Hone from its built-in tasksets; the advice says
/// what it is needed for.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
Examples:
  hone doctor                                               one line per thing
  hone doctor --json | jq '.checks[] | select(.state != \"ok\")'";

/// Memory that training the nano base needs, in bytes.
const NEEDED_MEMORY: u64 = 2 << 30;
/// Disk space that a few runs need, in bytes.
const NEEDED_DISK: u64 = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Health {
    Ok,
    Limited,
    Missing,
}

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    state: Health,
    /// What was found.
    found: String,
    /// What to do about it, or what it is for; empty where all is well.
    advice: String,
}

fn check(name: &str, state: Health, found: impl Into<String>, advice: &str) -> Check {
    Check {
        name: name.into(),
        state,
        found: found.into(),
        advice: advice.into(),
    }
}

impl Args {
    /// Look and say.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let mut checks = vec![processor(), cores(), memory(), disk(), namespaces(), gpu()];
        #[cfg(all(feature = "tools", target_os = "linux"))]
        let guarantees = sandbox(&mut checks);
        #[cfg(not(all(feature = "tools", target_os = "linux")))]
        let guarantees = serde_json::Value::Null;
        checks.extend(["curl", "tar"].map(program));
        checks.push(nano());
        for suite in data::suites()? {
            checks.push(suite_check(&suite));
        }
        if json {
            return print_json(&json!({ "checks": checks, "sandbox": guarantees }));
        }
        let mut rows = vec![["", "state", "found", "what to do"].map(str::to_owned).to_vec()];
        rows.extend(checks.into_iter().map(|check| {
            let state = crate::episode_text::name(&check.state);
            vec![check.name, state, check.found, check.advice]
        }));
        print(table(&rows))?;
        #[cfg(all(feature = "tools", target_os = "linux"))]
        if let Some(guarantees) = guarantees {
            let mut rows = vec![["what code cannot do", "level", "how"].map(str::to_owned).to_vec()];
            rows.extend(
                guarantees
                    .properties
                    .iter()
                    .map(|row| vec![row.property.to_string(), row.level.to_string(), row.how.to_owned()]),
            );
            print(format!("\n{}", table(&rows)))?;
        }
        Ok(())
    }
}

/// The value of a `key: value` line in a file of /proc.
fn line(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })?;
    Some(value)
}

fn processor() -> Check {
    let level = hone_engine::level();
    let model = line("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let flags = line("/proc/cpuinfo", "flags").unwrap_or_default();
    let known = ["avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"];
    let has: Vec<&str> = known
        .into_iter()
        .filter(|flag| flags.split(' ').any(|f| f == *flag))
        .collect();
    let found = format!(
        "{model}; kernels use {}; has {}",
        level.name(),
        if has.is_empty() {
            "none of AVX2 and up".into()
        } else {
            has.join(" ")
        }
    );
    match level {
        Level::Avx2 | Level::Avx512 => check("processor", Health::Ok, found, ""),
        Level::Portable => check(
            "processor",
            Health::Limited,
            found,
            "sampling and training are slow without AVX2 and FMA; use another machine, or unset HONE_SIMD if it is set",
        ),
    }
}

fn cores() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let found = format!("{cores} usable");
    if cores >= 2 {
        check("cores", Health::Ok, found, "")
    } else {
        check(
            "cores",
            Health::Limited,
            found,
            "figures are given for 2 cores; expect twice the time",
        )
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn memory() -> Check {
    let kib = |key: &str| -> Option<u64> { line("/proc/meminfo", key)?.split(' ').next()?.parse().ok() };
    let Some(available) = kib("MemAvailable").map(|kib| kib << 10) else {
        return check(
            "memory",
            Health::Limited,
            "unknown",
            "this system does not tell; 2 GiB are needed for training",
        );
    };
    // A container may get less than the machine has.
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max")
        .or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .filter(|limit| *limit < available);
    let usable = limit.unwrap_or(available);
    let found = match limit {
        Some(limit) => format!("{} allowed to this group of processes", gib(limit)),
        None => format!("{} available", gib(available)),
    };
    if usable >= NEEDED_MEMORY {
        check("memory", Health::Ok, found, "")
    } else {
        check(
            "memory",
            Health::Limited,
            found,
            "training the nano base takes up to 2 GiB; end other programs or raise the limit",
        )
    }
}

fn disk() -> Check {
    match free_bytes(Path::new(".")) {
        Some(free) if free >= NEEDED_DISK => check("disk", Health::Ok, format!("{} free here", gib(free)), ""),
        Some(free) => check(
            "disk",
            Health::Limited,
            format!("{} free here", gib(free)),
            "runs take some hundred MB each; free some space or work elsewhere",
        ),
        None => check(
            "disk",
            Health::Limited,
            "unknown",
            "this system does not tell; keep 1 GiB free for runs",
        ),
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_cast)] // The fields' width differs between systems.
fn free_bytes(path: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: `statvfs` is a plain struct of integers, for which zero is a valid value; the path ends with NUL and both
    // live until the call returns.
    let (status, facts) = unsafe {
        let mut facts: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &mut facts), facts)
    };
    (status == 0).then(|| (facts.f_bavail as u64).saturating_mul(facts.f_frsize as u64))
}

#[cfg(not(unix))]
fn free_bytes(_path: &Path) -> Option<u64> {
    None
}

/// Whether a program ran and said yes; `None` if it cannot be started.
fn succeeds(program: &str, arguments: &[&str]) -> Option<bool> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Some(command.status().ok()?.success())
}

fn namespaces() -> Check {
    let name = "user namespaces";
    let advice = "only needed by the tools `python` and `bash`; sysctl kernel.unprivileged_userns_clone=1, or a container started with that right";
    match succeeds(
        "unshare",
        &["--user", "--map-root-user", "--mount", "--pid", "--fork", "true"],
    ) {
        Some(true) => check(name, Health::Ok, "can be made", ""),
        Some(false) => check(name, Health::Missing, "not allowed here", advice),
        None => check(
            name,
            Health::Missing,
            "cannot tell: `unshare` is not installed",
            "only needed by the tools `python` and `bash`; install util-linux to find out",
        ),
    }
}

/// Whether code can be isolated here, and what holds then.
#[cfg(all(feature = "tools", target_os = "linux"))]
fn sandbox(checks: &mut Vec<Check>) -> Option<hone_sandbox::Guarantees> {
    use hone_sandbox::{Interpreter, InterpreterSettings, ProcessRuntime, Runtime};
    let runtime = match ProcessRuntime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let advice = "only needed by the tools `python` and `bash`, which do not run without it";
            checks.push(check("sandbox", Health::Missing, error.to_string(), advice));
            checks.push(check("cgroup v2", Health::Missing, "no sandbox can be made", advice));
            return None;
        }
    };
    let guarantees = runtime.guarantees().clone();
    let found = format!("code runs as {}", guarantees.identity);
    checks.push(check("sandbox", Health::Ok, found, ""));
    checks.push(match &guarantees.without_groups {
        None => check("cgroup v2", Health::Ok, "a group for each sandbox", ""),
        Some(why) => {
            let advice = "not needed: sandboxes bound memory by looking at it; see docs/security.md";
            check("cgroup v2", Health::Limited, why, advice)
        }
    });
    checks.push(match Interpreter::start(&runtime, &InterpreterSettings::default()) {
        Ok(python) => check("sandbox Python", Health::Ok, python.version(), ""),
        Err(error) => {
            let advice = "only needed by the tools `python` and `bash`; install Python 3.9 or later";
            check("sandbox Python", Health::Missing, error.to_string(), advice)
        }
    });
    Some(guarantees)
}

fn gpu() -> Check {
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=name,memory.total", "--format=csv,noheader"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let listed = output.ok().filter(|output| output.status.success());
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).trim().replace('\n', "; "));
    match listed.filter(|names| !names.is_empty()) {
        Some(names) => check(
            "GPU",
            Health::Limited,
            names,
            "this version computes on the processor only",
        ),
        None if Path::new("/dev/nvidia0").exists() => check(
            "GPU",
            Health::Limited,
            "/dev/nvidia0, but nvidia-smi does not answer",
            "this version computes on the processor only",
        ),
        None => check(
            "GPU",
            Health::Missing,
            "no NVIDIA GPU",
            "none is needed: this version computes on the processor",
        ),
    }
}

fn program(name: &str) -> Check {
    match succeeds(name, &["--version"]) {
        Some(true) => check(name, Health::Ok, "installed", ""),
        _ => check(
            name,
            Health::Missing,
            "not installed",
            "needed by `hone data get`; install it",
        ),
    }
}

fn nano() -> Check {
    let name = "nano base";
    let Some(dir) = resolve("models/nano") else {
        return check(
            name,
            Health::Missing,
            "no models/nano here, nor above the program",
            "run Hone from its repository, which holds it",
        );
    };
    match Local::read(&dir) {
        Ok(model) => {
            let found = format!("{} parameters in {}", model.weights.params().len(), dir.display());
            check(name, Health::Ok, found, "")
        }
        Err(error) => check(name, Health::Limited, error.to_string(), "restore models/nano with git"),
    }
}

fn suite_check(suite: &data::Suite) -> Check {
    let name = format!("data {}", suite.id);
    let (at, state) = suite.find();
    let get = format!("get it with `hone data get {}`", suite.id);
    let at = at.display().to_string();
    match state {
        State::Ready => check(&name, Health::Ok, at, ""),
        State::Unchecked => check(&name, Health::Ok, format!("{at} (not checked)"), ""),
        State::Part => check(&name, Health::Ok, format!("{at}, a part of it"), ""),
        State::Differs => check(&name, Health::Limited, format!("{at} is not what is expected"), &get),
        State::Missing if suite.files.is_empty() => check(
            &name,
            Health::Missing,
            "not found",
            &format!(
                "`hone data` cannot fetch it; take it from https://github.com/{} and put it at {at}",
                suite.repository
            ),
        ),
        State::Missing => check(&name, Health::Missing, "not found", &get),
    }
}
