//! The commands, a module each.

mod bench;
mod data;
mod doctor;
pub mod eval;
mod init;
mod metrics;
pub mod run;
mod serve;
mod systems;
#[cfg(feature = "mcp")]
mod tools;
pub mod trace;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Teach a model a taskset, or make a base model.
    Train(crate::train::Train),
    /// List, show and check recipes.
    #[command(subcommand)]
    Recipe(crate::train::RecipeCommand),
    /// Make a small example of your own tasks, tools and checkers, to edit.
    Init(init::Args),
    /// Play one episode and watch it step by step.
    Run(run::Args),
    /// Measure a model or a script on many tasks.
    Eval(Box<eval::Args>),
    /// Say what the numbers mean: formula, unit, denominator, source.
    Metrics(metrics::Args),
    /// Look into a recorded run, compare it, move it.
    Trace(trace::Args),
    /// Look into any MCP server's tools, call one, find defects; serve Hone's own tools over MCP.
    #[cfg(feature = "mcp")]
    Tools(tools::Args),
    /// Serve what runs here to other programs.
    Serve(serve::Args),
    /// Measure how fast the parts are on this machine.
    Bench(bench::Args),
    /// List the published systems and how far each is reproduced here.
    Systems(systems::Args),
    /// Say what works on this machine, and what to do about the rest.
    Doctor(doctor::Args),
    /// List and fetch public data that tasksets read.
    Data(data::Args),
}

impl Command {
    /// Do it.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        match self {
            Self::Train(args) => args.run(json),
            Self::Recipe(args) => args.run(json),
            Self::Init(args) => args.run(json),
            Self::Run(args) => args.run(json),
            Self::Eval(args) => args.run(json),
            Self::Metrics(args) => args.run(json),
            Self::Trace(args) => args.run(json),
            #[cfg(feature = "mcp")]
            Self::Tools(args) => args.run(json),
            Self::Serve(args) => args.run(),
            Self::Bench(args) => args.run(json),
            Self::Systems(args) => args.run(json),
            Self::Doctor(args) => args.run(json),
            Self::Data(args) => args.run(json),
        }
    }
}
