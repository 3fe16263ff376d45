//! `hone serve`: what others reach over HTTP.

mod model;
#[cfg(all(feature = "tools", target_os = "linux"))]
mod tools;

/// Serve what runs here to other programs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  hone serve model models/nano                         a local model behind OpenAI's API
  hone serve tools --verltool                          Python in sandboxes, as VerlTool's tool server (feature `tools`)
  hone serve tools ipython_code,calculator --verltool  a session for each trajectory, and other tools";

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Serve a local model behind OpenAI's API.
    Model(model::Args),
    /// Serve tools in the contract of a trainer.
    #[cfg(all(feature = "tools", target_os = "linux"))]
    Tools(tools::Args),
}

impl Args {
    /// Do it.
    pub fn run(self) -> anyhow::Result<()> {
        match self.what {
            What::Model(args) => args.run(),
            #[cfg(all(feature = "tools", target_os = "linux"))]
            What::Tools(args) => args.run(),
        }
    }
}
