//! Reading on.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::watch;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::layout::{self, Epoch};
use super::session::Session;
use super::{Following, GatewayId, Listed, Position, Settings, To, Trouble, errors};
use crate::fleet::Entry;

/// Somebody who reads on.
struct Follower {
    session: Session,
    deadline: Duration,
    sql: String,
    after: i64,
    me: GatewayId,
    /// The log that it reads.
    epoch: Epoch,
    /// The last look may not have seen everything.
    hurries: bool,
    appended: watch::Receiver<()>,
    listed: Listed,
}

/// Listens, then begins to read: what comes between the two rings. `known` is the log that it must be, if that is known.
pub(super) async fn start(
    session: Session,
    settings: &Settings,
    after: Position,
    me: GatewayId,
    listed: Listed,
) -> Result<Following, Trouble> {
    let [everyone, mine] = [To::Everyone, To::One(me)].map(|to| settings.schema.channel(to));
    // The two indexes are in the right order. Nothing else can be the better plan, whatever is believed of the tables; and
    // none of this is worth compiling, which takes longer than all the rest.
    let listen = format!(
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off; \
         LISTEN \"{everyone}\"; LISTEN \"{mine}\""
    );
    session.ask(&listen).await?;
    let epoch = layout::epoch(&session, &settings.schema).await?;
    let follower = Follower {
        session,
        deadline: settings.deadline,
        sql: looking(settings.schema.as_str()),
        after: i64::try_from(after.0).unwrap_or(i64::MAX),
        me,
        epoch,
        hurries: true,
        appended: listed.here.appended.subscribe(),
        listed,
    };
    Ok(stream::try_unfold(follower, |mut follower| async move {
        let entries = follower.next().await?;
        Ok(Some((entries, follower)))
    })
    .into_stream()
    .boxed())
}

impl Follower {
    /// What comes next, as soon as there is something.
    async fn next(&mut self) -> Result<Vec<Entry>, Trouble> {
        loop {
            if !self.hurries {
                tokio::select! {
                    () = self.session.heard.bell.notified() => {}
                    _ = self.appended.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
            self.appended.mark_unchanged();
            let entries = self.look().await?;
            self.hurries = entries.len() >= MANY || entries.iter().map(|entry| entry.body.len()).sum::<usize>() >= MUCH;
            if let Some(last) = entries.last() {
                self.after = i64::try_from(last.position.0).unwrap_or(i64::MAX);
                self.listed.here.read(&self.epoch, last.position);
                return Ok(entries);
            }
        }
    }

    async fn look(&self) -> Result<Vec<Entry>, Trouble> {
        let me = self.me.0.to_be_bytes();
        let me = me.as_slice();
        let epoch = self.epoch.own.as_str();
        let asked: [(&(dyn ToSql + Sync), Type); 3] =
            [(&self.after, Type::INT8), (&me, Type::BYTEA), (&epoch, Type::TEXT)];
        let rows = self.session.client.query_typed(&self.sql, &asked);
        let rows = tokio::time::timeout(self.deadline, rows).await.map_err(|_| errors::no_answer(self.deadline))?;
        let rows = rows.map_err(|error| Trouble::from(&error))?;
        let (logs, letters): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| matches!(row.try_get(POSITION), Ok(None::<i64>)));
        // In the same glance: a log that was made anew counts from the beginning, and must not be read on from here.
        if !logs.first().is_some_and(|row| row.try_get(SAME).is_ok_and(|same| same)) {
            return Err(Trouble::Gone);
        }
        let entries: Option<Vec<_>> = letters.into_iter().map(entry).collect();
        let mut entries = entries.ok_or_else(not_a_letter)?;
        // They are, but SQL does not promise it.
        entries.sort_by_key(|entry| entry.position);
        Ok(entries)
    }
}

/// Columns of a look.
const SAME: usize = 0;
const POSITION: usize = 1;
const RECIPIENT: usize = 2;
const BODY: usize = 3;

/// One row without a position, which says whether this is the log `$3`; and everything after `$1` that is for everyone or
/// for `$2`, as much as is good to have at once.
fn looking(schema: &str) -> String {
    let some = |whose: &str| {
        format!(
            "(SELECT position, recipient, body FROM \"{schema}\".letters \
              WHERE position > $1 AND recipient {whose} ORDER BY position LIMIT {MANY})"
        )
    };
    format!(
        "SELECT epoch = $3, NULL::bigint, NULL::bytea, NULL::bytea FROM \"{schema}\".log WHERE one \
         UNION ALL SELECT true, position, recipient, body FROM (\
           SELECT position, recipient, body, \
             sum(octet_length(body)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - octet_length(body) AS before \
           FROM ({} UNION ALL {} ORDER BY position LIMIT {MANY}) AS l) AS m \
         WHERE before < {MUCH}",
        some("IS NULL"),
        some("= $2")
    )
}

fn entry(row: &Row) -> Option<Entry> {
    let position: i64 = row.try_get(POSITION).ok()?;
    let recipient: Option<&[u8]> = row.try_get(RECIPIENT).ok()?;
    let body: &[u8] = row.try_get(BODY).ok()?;
    let to = match recipient {
        None => To::Everyone,
        Some(id) => To::One(GatewayId(u128::from_be_bytes(id.try_into().ok()?))),
    };
    Some(Entry { position: Position(u64::try_from(position).ok()?), to, body: body.to_vec() })
}

fn not_a_letter() -> Trouble {
    let what = "the table of letters holds what is no letter".to_owned();
    Trouble::Unfit { what, remedy: "somebody changed it; drop the schema, and the gateways make it anew".to_owned() }
}

/// A `NOTIFY` is only a hint.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Letters that are read at once.
const MANY: usize = 10_000;
/// Bytes of bodies that are read at once, but for the last.
const MUCH: usize = 4 << 20;
