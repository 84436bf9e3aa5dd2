//! `lab completions SHELL` and `lab man`: what shells and `man` want to know, made of the command line itself.
//!
//! Owns where both are printed or written. Not here: what they say, which is the command line's own (`cli.rs`).

use crate::{
    cli::Cli,
    exit::{Exit, Performed},
};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Settings of `lab completions`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  lab completions bash > ~/.local/share/bash-completion/completions/lab
  lab completions zsh > ~/.zfunc/_lab                         ~/.zfunc must be in $fpath
  lab completions fish > ~/.config/fish/completions/lab.fish
  lab completions elvish >> ~/.config/elvish/rc.elv
  lab completions powershell >> $PROFILE

The script completes the command `lab`: `cargo install --path benches` puts that where shells find it. Those who type `cargo lab`
get the same with `alias lab='cargo lab'` and `cargo lab completions bash`, which prints the same script.

Exit codes: 0 printed, 2 wrong usage, or standard output is full.";

/// Settings of `lab man`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// Write a page for each command into FOLDER, in place of the page of `lab` to standard output
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

const MAN_EXAMPLES: &str = "\
Examples:
  lab man | man -l -                           the page of `lab`, to read
  lab man ~/.local/share/man/man1              a page for each command: then `man lab`, `man lab-run`

Exit codes: 0 printed or written, 2 wrong usage, or FOLDER is missing or cannot be written into.";

/// The command line without what the lab starts itself with.
fn command() -> Command {
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let text = |text: Option<&clap::builder::StyledStr>| text.cloned().unwrap_or_default();
    Command::new("lab")
        .version(env!("CARGO_PKG_VERSION"))
        .about(text(all.get_about()))
        .long_about(text(all.get_long_about()))
        .after_help(text(all.get_after_help()))
        .args_conflicts_with_subcommands(true)
        .args(all.get_arguments().cloned())
        .subcommands(shown)
}

/// Prints the shell's script.
///
/// # Errors
/// When standard output is full.
pub fn completions(args: &CompletionsArgs) -> Performed {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "lab", &mut script);
    print(&script)
}

/// Prints or writes the manual.
///
/// # Errors
/// When it cannot be printed or written.
pub fn man(args: &ManArgs) -> Performed {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command()).render(&mut page).expect("a Vec takes everything");
        return print(&page);
    };
    let cannot = |why: &str| {
        format!(
            "cannot write the manual into '{}': {why}\n\n\
             expected an existing folder that you may write to. Make it, choose another FOLDER, or leave it out: the page of `lab`\n\
             then goes to standard output.",
            folder.display()
        )
    };
    if !folder.is_dir() {
        return Err(cannot(if folder.exists() { "it is no folder" } else { "there is no such folder" }));
    }
    clap_mangen::generate_to(command(), folder).map_err(|error| cannot(&error.to_string()))?;
    Ok(Exit::Fine)
}

/// To standard output, all at once. Whoever closed it has read enough.
fn print(text: &[u8]) -> Performed {
    let mut to = io::stdout().lock();
    match to.write_all(text).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot print to standard output: {error}"))
        }
        _ => Ok(Exit::Fine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_people_may_type_is_in_every_script_and_no_other() {
        let all = Cli::command();
        for shell in clap::ValueEnum::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate::<Shell, _>(*shell, &mut command(), "lab", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in all.get_subcommands() {
                let name = command.get_name();
                // `take` is a part of other words; `count-one` is of none.
                if name != "take" {
                    assert_eq!(script.contains(name), !command.is_hide_set(), "{name} for {shell}");
                }
            }
        }
    }

    #[test]
    fn the_page_of_the_lab_is_that_of_its_command_line() {
        let mut page = Vec::new();
        clap_mangen::Man::new(command()).render(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for part in [".TH lab 1", "lab\\-paths(1)", "lab\\-count(1)", "Exit codes"] {
            assert!(page.contains(part), "no {part:?} in\n{page}");
        }
        assert!(!page.contains("count\\-one"));
    }
}
