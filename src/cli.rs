//! What people type.

mod approvals;
mod check;
mod explain;
mod fleet;
mod holds;
mod keygen;
mod manual;
mod migrate;
mod operator;
mod outcomes;
mod reference;
mod reload;
mod stream;
mod table;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Faults};
use crate::identity::Email;
use crate::revocation::Mode;

/// Session enforcement in front of applications nobody can change
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Run(ConfigFile),
    /// Read the config: show every mistake in it, or what it means
    Check(ConfigFile),
    /// End somebody's sessions, everywhere and at once
    #[command(
        after_help = "Several of --user, --email, --session, --device, --tenant, --group together mean people for \
                            whom all of them hold."
    )]
    Revoke(Revoke),
    /// Let somebody sign in again who is on hold; name them as the hold does
    Lift(Lift),
    /// Show what is not in force because its sender may not do so much by itself
    Approvals(Status),
    /// Put in force what awaits approval
    Approve(approvals::Which),
    /// Drop what awaits approval
    Decline(approvals::Which),
    /// Show who is on hold
    Holds(Status),
    /// Show what revocations did: whom they met, what they cut and refused, what is left
    Outcomes(outcomes::Outcomes),
    /// Show how the running gateway is
    Status(Status),
    /// Have the running gateway read its config again; a mistake in it changes nothing
    Reload(Status),
    /// Look after the streams that the gateway manages
    #[command(subcommand)]
    Stream(stream::Stream),
    /// Say what would happen to a request, and why
    Explain(Explain),
    /// Write another gateway's config as ours, and say what has no like here
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// Make a key for `[keys] files`
    Keygen {
        /// Where to put it (mode 0600; never over a file that is there); standard output if left out
        file: Option<PathBuf>,
        /// One that signs instead, for `[outcomes.webhook] key_file` (P-256, PEM)
        #[arg(long)]
        signing: bool,
    },
    /// Print what a DBA runs where the gateway may not make its schema in `[fleet.postgres]`
    FleetSql(ConfigFile),
    /// Print every key of the config: its form, and what it does
    Reference {
        /// As a JSON schema, for editors
        #[arg(long)]
        schema: bool,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual as a man page
    Man {
        /// Put one page for each command there instead
        #[arg(value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
    /// Run a toy IdP, a toy app and the gateway on loopback
    Demo {
        /// Where the gateway listens; IdP, app and admin listener take the three ports after it
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Where its key, ledger and config are kept [default: a directory of its own among the temporary files]
        #[arg(long, value_name = "DIRECTORY")]
        state: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The config
    #[arg(short, long, value_name = "FILE", default_value = USUAL_CONFIG)]
    config: PathBuf,
}

/// Which gateway is meant.
#[derive(Debug, Args)]
struct Running {
    /// The config of the gateway; only `[admin]` is read
    #[arg(short, long, value_name = "FILE", default_value = USUAL_CONFIG, conflicts_with = "admin")]
    config: PathBuf,
    /// The gateway's admin address instead, like http://127.0.0.1:9090
    #[arg(long, value_name = "URL", requires = "token_file")]
    admin: Option<String>,
    /// The file with the admin token
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Revoke {
    #[command(flatten)]
    running: Running,
    /// Whose people; may be left out for an e-mail address or everyone, which then means all IdPs
    #[arg(long, value_name = "NAME")]
    idp: Option<String>,
    #[command(flatten)]
    whom: Whom,
    /// Only in this app; may be repeated
    #[arg(long = "app", value_name = "NAME")]
    apps: Vec<String>,
    /// What happens to their credentials
    #[arg(long, value_enum, default_value_t = ModeWord::Terminate)]
    mode: ModeWord,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Lift {
    #[command(flatten)]
    running: Running,
    /// Whose people; may be left out for an e-mail address or everyone, which then means all IdPs
    #[arg(long, value_name = "NAME")]
    idp: Option<String>,
    #[command(flatten)]
    whom: Whom,
    /// The hold for this app only; may be repeated
    #[arg(long = "app", value_name = "NAME")]
    apps: Vec<String>,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Whom {
    /// The person, by the IdP's `sub`
    #[arg(long, value_name = "SUB")]
    user: Option<String>,
    /// The person, by e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The person, by phone number
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// One session at the IdP, by `sid`
    #[arg(long, value_name = "SID")]
    session: Option<String>,
    /// Whoever is on this device
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Whoever belongs to this tenant
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Whoever is in this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Everybody
    #[arg(long, conflicts_with_all = ["user", "email", "phone", "session", "device", "tenant", "group"])]
    everyone: bool,
}

#[derive(Copy, Clone, Debug, ValueEnum)]
enum ModeWord {
    /// Every credential dies; back in only by a new, proven login
    Terminate,
    /// Nothing goes on until the IdP vouches again
    Reestablish,
    /// Every credential dies, and nobody gets in until `portcullis lift`
    Hold,
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Terminate => Self::Terminate,
            ModeWord::Reestablish => Self::Reestablish,
            ModeWord::Hold => Self::Hold,
        }
    }
}

#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    running: Running,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Explain {
    /// The request's method
    method: String,
    /// Its URL, as the gateway would see it
    url: String,
    #[command(flatten)]
    config: ConfigFile,
    /// A file with the request's `Cookie` header
    #[arg(long, value_name = "FILE")]
    cookie_file: Option<PathBuf>,
    /// A group that the person is in; may be repeated
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
    /// The person's e-mail address
    #[arg(long, value_name = "ADDRESS", value_parser = email)]
    email: Option<Email>,
    /// A further claim of the person; may be repeated
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, String)>,
}

/// How a command ended (the numbers are those of `sysexits.h`).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failed = 1,
    Incomplete = 2,
    Usage = 64,
    Unreachable = 69,
    NeedsRestart = 70,
    TryAgain = 75,
    Transmitter = 76,
    Config = 78,
}

/// What a command says, and how it ended.
#[derive(Debug)]
struct Outcome {
    exit: Exit,
    /// For standard output.
    says: String,
    /// For standard error.
    complains: String,
}

impl Outcome {
    fn done(says: impl Into<String>) -> Self {
        Self { exit: Exit::Done, says: says.into(), complains: String::new() }
    }

    fn not(exit: Exit, complains: impl Into<String>) -> Self {
        Self { exit, says: String::new(), complains: complains.into() }
    }
}

/// Runs the command that `args` ask for; the first of them is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match Cli::try_parse_from(args) {
        Ok(cli) => execute(cli.command),
        Err(error) => {
            // Help and version are no mistakes; clap knows where each belongs and whether to use colour.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            drop(error.print());
            Outcome { exit, says: String::new(), complains: String::new() }
        }
    };
    // A reader that hung up (`| head`) is no failure of ours.
    drop(write!(std::io::stdout(), "{}", outcome.says).and_then(|()| std::io::stdout().flush()));
    if !outcome.complains.is_empty() {
        drop(writeln!(std::io::stderr(), "{}", outcome.complains.trim_end()));
    }
    ExitCode::from(outcome.exit as u8)
}

fn execute(command: Command) -> Outcome {
    match command {
        Command::Run(file) => with_config(&file.config, |config| ended(crate::app::run(config))),
        Command::Check(file) => with_config(&file.config, |config| Outcome::done(check::summary(&config))),
        Command::Revoke(revoke) => operator::revoke(revoke),
        Command::Lift(lift) => holds::lift(lift),
        Command::Approvals(approvals) => approvals::approvals(&approvals),
        Command::Approve(which) => approvals::decide(which, true),
        Command::Decline(which) => approvals::decide(which, false),
        Command::Holds(holds) => holds::holds(&holds),
        Command::Outcomes(typed) => outcomes::outcomes(&typed),
        Command::Status(status) => operator::status(&status),
        Command::Reload(typed) => reload::reload(&typed),
        Command::Stream(typed) => stream::stream(&typed),
        Command::Explain(explain) => with_config(&explain.config.config, |config| explain::explain(&config, &explain)),
        Command::Migrate(from) => migrate::migrate(&from),
        Command::Keygen { file, signing } => keygen::keygen(file.as_deref(), signing),
        Command::FleetSql(file) => with_config(&file.config, |config| fleet::sql(&config)),
        Command::Reference { schema } => Outcome::done(reference::reference(schema)),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { directory } => manual::man(directory.as_deref()),
        Command::Demo { port, state } => ended(crate::demo::run(port, state)),
    }
}

/// What to say when something that runs for long has ended.
fn ended(result: anyhow::Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::done(""),
        Err(error) => Outcome::not(Exit::Failed, format!("{error:#}")),
    }
}

fn with_config(path: &Path, go_on: impl FnOnce(Config) -> Outcome) -> Outcome {
    match Config::load(path) {
        Ok(config) => go_on(config),
        Err(faults) => faulty(&faults),
    }
}

fn faulty(faults: &Faults) -> Outcome {
    let count = faults.len();
    let tail = if count > 1 { format!("\n\n{count} faults") } else { String::new() };
    Outcome::not(Exit::Config, format!("{faults}{tail}"))
}

fn email(text: &str) -> Result<Email, &'static str> {
    Email::parse(text).ok_or("it is no e-mail address")
}

fn claim(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Where the config of an installed gateway is.
const USUAL_CONFIG: &str = "/etc/portcullis/portcullis.toml";

const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  it failed for a reason of this machine; the text says which
   2  `migrate`: done, but something has no like here; the text says what
  64  the command makes no sense as it was typed
  69  the gateway cannot be reached
  70  the config waits for a restart; nothing was changed
  75  in force, but not written down: try again
  76  a stream's transmitter does not do it; the text says why
  78  the config, or the admin token, is not right";

#[cfg(test)]
mod tests;
