//! What must be there: made if it is not, looked at if it is.

use std::fmt;

use tokio_postgres::SimpleQueryRow;

use super::errors::MISSING_RIGHTS;
use super::session::Session;
use super::sql::literal;
use super::{Allow, Extent, Position, Schema, Settings, Trouble};

/// Makes everything; what is there stays.
pub(super) fn making(schema: &Schema) -> String {
    include_str!("layout.sql").replace("\"portcullis\"", &format!("\"{}\"", schema.as_str()))
}

/// Gives `user` the rights that a gateway needs.
pub(super) fn granting(schema: &Schema, user: &str) -> String {
    include_str!("rights.sql")
        .replace("\"portcullis\"", &format!("\"{}\"", schema.as_str()))
        .replace("\"portcullis_gateway\"", &format!("\"{}\"", user.replace('"', "\"\"")))
}

/// Which log it is: another one has another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    /// What the log says.
    pub(super) own: String,
    /// The history of the server that it is on.
    timeline: u32,
}

impl fmt::Display for Epoch {
    /// As gateways know it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.own, self.timeline)
    }
}

/// Which log it is.
pub(super) async fn epoch(session: &Session, schema: &Schema) -> Result<Epoch, Trouble> {
    let row = Facts(session.ask(&format!("SELECT epoch FROM \"{}\".log", schema.as_str())).await?);
    if row.0.is_none() {
        return Err(Trouble::Gone);
    }
    Ok(Epoch { own: row.text(0).to_owned(), timeline: session.timeline })
}

/// Makes the log or looks whether it is safe. One that is shorter than it was `known` to be is another, and says so to
/// everybody.
pub(super) async fn open(session: &Session, settings: &Settings, known: Option<&Extent>) -> Result<Extent, Trouble> {
    let schema = settings.schema.as_str();
    let server = Facts(session.ask(&about_the_server(schema)).await?);
    server.are_safe(settings)?;
    if !server.say(THERE) {
        let one_at_a_time = "SELECT pg_advisory_xact_lock(1886351990)";
        session.ask(&format!("{one_at_a_time}; {}", making(&settings.schema))).await?;
    }
    let log = Facts(session.ask(&about_the_log(schema)).await?);
    let layout = log.text(0);
    if layout.parse() != Ok(LAYOUT) {
        let what = format!("the schema `{schema}` has layout {layout}, and this gateway knows {LAYOUT}");
        return Err(Trouble::Unfit { what, remedy: "run the newer gateway, or set another `schema`".to_owned() });
    }
    if !log.say(3) && !settings.allow.contains(&Allow::Unlogged) {
        let what = format!("tables of the schema `{schema}` are UNLOGGED: a crash empties them");
        return Err(Trouble::Unfit { what, remedy: remedy("ALTER TABLE … SET LOGGED", Allow::Unlogged) });
    }
    if !log.say(4) {
        return Err(Trouble::Denied(format!("rights in the schema `{schema}` are missing; {MISSING_RIGHTS}")));
    }
    let last = Position(log.text(2).parse().unwrap_or_default());
    let mut epoch = Epoch { own: log.text(1).to_owned(), timeline: session.timeline };
    if known.is_some_and(|known| known.epoch == epoch.to_string() && known.last > last) {
        epoch.own = renewed(session, schema, &epoch.own).await?;
    }
    Ok(Extent { epoch: epoch.to_string(), last })
}

/// What the server is asked about itself.
fn about_the_server(schema: &str) -> String {
    format!(
        "SELECT current_setting('server_version_num'), current_setting('fsync'), current_setting('full_page_writes'), \
           current_setting('synchronous_standby_names'), \
           to_regclass('\"{schema}\".log') IS NOT NULL AND to_regclass('\"{schema}\".letters') IS NOT NULL AND \
             to_regclass('\"{schema}\".leases') IS NOT NULL AND \
             to_regprocedure('\"{schema}\".append(text, text, text, text)') IS NOT NULL"
    )
}

/// Where that answer says whether there is a log.
const THERE: usize = 4;

/// What it is asked about the log.
fn about_the_log(schema: &str) -> String {
    format!(
        "SELECT layout, epoch, greatest(forgotten, (SELECT max(position) FROM \"{schema}\".letters)), \
           (SELECT bool_and(relpersistence = 'p') FROM pg_class \
             WHERE oid IN ('\"{schema}\".log'::regclass, '\"{schema}\".letters'::regclass, \
               '\"{schema}\".leases'::regclass)), \
           has_table_privilege('\"{schema}\".letters', 'INSERT') AND \
             has_table_privilege('\"{schema}\".letters', 'DELETE') AND \
             has_table_privilege('\"{schema}\".leases', 'SELECT') AND \
             has_table_privilege('\"{schema}\".leases', 'INSERT') AND \
             has_table_privilege('\"{schema}\".leases', 'UPDATE') AND \
             has_column_privilege('\"{schema}\".log', 'epoch', 'UPDATE') AND \
             has_column_privilege('\"{schema}\".log', 'forgotten', 'UPDATE') AND \
             has_sequence_privilege('\"{schema}\".positions', 'USAGE') AND \
             has_function_privilege('\"{schema}\".append(text, text, text, text)', 'EXECUTE') \
         FROM \"{schema}\".log"
    )
}

/// Another epoch instead of `epoch`, by whichever gateway comes first.
async fn renewed(session: &Session, schema: &str, epoch: &str) -> Result<String, Trouble> {
    let renew = format!(
        "UPDATE \"{schema}\".log SET epoch = gen_random_uuid()::text WHERE epoch = {}; SELECT epoch FROM \"{schema}\".log",
        literal(epoch)
    );
    Ok(Facts(session.ask(&renew).await?).text(0).to_owned())
}

/// One row of answers.
struct Facts(Option<SimpleQueryRow>);

impl Facts {
    fn text(&self, n: usize) -> &str {
        self.0.as_ref().and_then(|row| row.try_get(n).ok().flatten()).unwrap_or_default()
    }

    fn say(&self, n: usize) -> bool {
        self.text(n) == "t"
    }

    /// Whether a server that is set up so keeps what it acknowledges.
    fn are_safe(&self, settings: &Settings) -> Result<(), Trouble> {
        let unfit = |what: &str, remedy: String| Err(Trouble::Unfit { what: what.to_owned(), remedy });
        let allowed = |allow| settings.allow.contains(&allow);
        if self.text(0).parse::<u32>().is_ok_and(|version| version < OLDEST) {
            return unfit("the server is older than PostgreSQL 13", "upgrade it".to_owned());
        }
        if self.text(1) != "on" && !allowed(Allow::NoFsync) {
            return unfit(
                "the server does not wait for its disk (`fsync`)",
                remedy("set `fsync = on`", Allow::NoFsync),
            );
        }
        if self.text(2) != "on" && !allowed(Allow::NoFullPageWrites) {
            return unfit(
                "the server does not survive a page half written (`full_page_writes`)",
                remedy("set `full_page_writes = on`", Allow::NoFullPageWrites),
            );
        }
        let (has, wanted) = (waited_for(self.text(3)), settings.synchronous_standbys);
        if has < wanted {
            return unfit(
                &format!("the server waits for {has} standbys and not for {wanted} (`synchronous_standby_names`)"),
                format!(
                    "set it, for example to `ANY {wanted} (*)`; or write `synchronous_standbys = {has}` and accept that \
                     what the fleet was told may be lost with a server"
                ),
            );
        }
        Ok(())
    }
}

fn remedy(remedy: &str, allow: Allow) -> String {
    format!("{remedy}; or write `allow = [\"{}\"]` and accept that what the fleet was told may be lost", allow.word())
}

/// For how many standbys a commit waits under that `synchronous_standby_names`.
fn waited_for(names: &str) -> usize {
    let names = names.trim();
    if names.is_empty() {
        return 0;
    }
    let Some((how, _)) = names.split_once('(') else { return 1 };
    let number = how.split_whitespace().last().unwrap_or_default();
    // A list without a number and in parentheses is none: PostgreSQL would not have taken it.
    number.parse().unwrap_or(1)
}

/// The layout that this gateway makes and reads.
const LAYOUT: u32 = 1;
/// The oldest version that there are updates for; `gen_random_uuid` came with it.
const OLDEST: u32 = 130_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standbys_that_a_commit_waits_for_are_counted() {
        for (names, expected) in [
            ("", 0),
            ("  ", 0),
            ("a", 1),
            ("*", 1),
            ("a, b", 1),
            ("2 (a, b, c)", 2),
            ("FIRST 2 (a, b, c)", 2),
            ("ANY 3 (*)", 3),
            ("any 1(a)", 1),
            ("\"any 7\", b", 1),
        ] {
            assert_eq!(waited_for(names), expected, "`{names}`");
        }
    }

    #[test]
    fn names_are_put_into_the_sql_that_others_run() {
        let schema = Schema::parse("fleet").expect("schema");
        let all = format!("{}{}", making(&schema), granting(&schema, "o\"r"));
        assert!(!all.contains("\"portcullis\"") && !all.contains("portcullis_gateway"), "{all}");
        assert!(all.contains("TO \"o\"\"r\";") && all.contains("\"fleet\".letters"), "{all}");
    }
}
