//! `hone serve`: what others reach over HTTP.

mod tools;

/// Serve tools to trainers of others.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  hone serve tools --verltool                          Python in sandboxes, as VerlTool's tool server
  hone serve tools ipython_code,calculator --verltool  a session for each trajectory, and other tools";

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Serve tools in the contract of a trainer.
    Tools(tools::Args),
}

impl Args {
    /// Do it.
    pub fn run(self) -> anyhow::Result<()> {
        match self.what {
            What::Tools(args) => args.run(),
        }
    }
}
