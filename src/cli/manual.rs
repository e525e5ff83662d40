//! `portcullis completions` and `portcullis man`: what shells and `man` know of the command line.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Exit, Outcome};

/// What a shell completes.
pub(super) fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
    Outcome::done(String::from_utf8_lossy(&script))
}

/// The manual: the page of the whole, or a page for each command in `directory`.
pub(super) fn man(directory: Option<&Path>) -> Outcome {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        return match Man::new(whole()).render(&mut page) {
            Ok(()) => Outcome::done(String::from_utf8_lossy(&page)),
            Err(error) => Outcome::not(Exit::Failed, error.to_string()),
        };
    };
    match std::fs::create_dir_all(directory).and_then(|()| pages(&whole(), directory)) {
        Ok(()) => Outcome::done(""),
        Err(error) => Outcome::not(Exit::Failed, format!("{}: {error}", directory.display())),
    }
}

/// The command line with the names that the pages go by, `portcullis-stream-verify`.
fn whole() -> clap::Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

fn pages(command: &clap::Command, directory: &Path) -> io::Result<()> {
    Man::new(command.clone()).generate_to(directory)?;
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| pages(sub, directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_says_what_it_does() {
        let directory = std::env::temp_dir().join(format!("portcullis-man-{}", std::process::id()));
        assert_eq!(man(Some(&directory)).exit, Exit::Done);
        for (page, says) in [
            ("portcullis.1", "Exit codes"),
            ("portcullis-revoke.1", "End somebody"),
            ("portcullis-stream-verify.1", "verification event"),
        ] {
            let text = std::fs::read_to_string(directory.join(page)).expect("a page");
            assert!(text.contains(says), "{page}: {text}");
        }
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn shells_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell).says;
            assert!(script.contains("fleet-sql") && script.contains("approvals"), "{shell}");
        }
    }
}
