//! `lab completions SHELL` and `lab man`: what shells and `man` want to know, made of the command line itself.

use crate::{
    cli::Cli,
    exit::{Exit, Performed},
};
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};

/// Settings of `lab completions`.
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Settings of `lab man`.
#[derive(Clone, Debug, clap::Args)]
pub struct ManArgs {
    /// Write a page for each command into FOLDER, in place of the page of `lab` to standard output
    #[arg(value_name = "FOLDER")]
    pub folder: Option<std::path::PathBuf>,
}

/// Prints the shell's script.
///
/// # Errors
/// When standard output is closed.
pub fn completions(args: &CompletionsArgs) -> Performed {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lab", &mut script);
    io::stdout().write_all(&script).map_err(|error| format!("cannot print the script: {error}"))?;
    Ok(Exit::Fine)
}

/// Prints or writes the manual.
///
/// # Errors
/// When it cannot be printed or written.
pub fn man(args: &ManArgs) -> Performed {
    let Some(folder) = &args.folder else {
        let printed = clap_mangen::Man::new(Cli::command()).render(&mut io::stdout());
        printed.map_err(|error| format!("cannot print the manual: {error}"))?;
        return Ok(Exit::Fine);
    };
    clap_mangen::generate_to(Cli::command(), folder).map_err(|error| {
        format!("cannot write into '{}': {error}; expected an existing folder", folder.display())
    })?;
    Ok(Exit::Fine)
}
