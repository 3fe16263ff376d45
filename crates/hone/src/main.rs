//! `hone`: run, record, measure and train LLM agents that use tools.
//!
//! This file parses the command line and hands over; each command is a module of [`commands`], and what they share is
//! [`tasksets`] (names to tasksets), [`models`] and [`users`] (names to players), [`data`] (public data suites) and [`console`].
//!
//! Exit status: 0 done, 1 failed, 2 wrong usage, 3 a gate of `hone eval` failed, 130 stopped by the user.

mod approve;
mod commands;
mod console;
mod data;
#[cfg(feature = "tools")]
mod embedder;
mod episode_text;
mod interrupt;
mod lock;
mod models;
mod roles;
mod run_dir;
mod tasksets;
mod train;
mod users;

use clap::Parser;
use commands::Command;
use std::process::ExitCode;

/// Scoring, replaying and reading records makes and drops many small values: the system's allocator takes a quarter of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Run, record, measure and train LLM agents that use tools.
#[derive(Debug, Parser)]
#[command(name = "hone", version, after_help = EXAMPLES)]
struct Cli {
    /// Print results as JSON on stdout, and nothing else there.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  hone train quickstart                                a small model learns to use tools, in minutes
  hone run shop --task test/3 --model script:expert    watch one episode, step by step
  hone eval shop --model script:do_nothing --n 50      measure a player on held-out tasks
  hone init my                                         your own tasks, tools and checkers: an example to edit
  hone trace ls runs/eval-shop-script-expert-001       look into what was recorded
  hone doctor                                          what works on this machine

`hone COMMAND --help` says more, with examples.";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = cli.command.run(cli.json);
    // A thread that still waits for a command of the user's ends with us; the command would not.
    hone_external::end_all();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => console::fail(&error),
    }
}
