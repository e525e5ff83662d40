//! What is said to the server, each in one message of the simple protocol.

use std::fmt::Write as _;
use std::time::Duration;

use super::{GatewayId, Letter, Schema, To, Trouble};

/// `letters` in portions that are short transactions: others wait for each of them.
pub(super) fn portions(letters: &[Letter]) -> impl Iterator<Item = &[Letter]> {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(MOST_LETTERS).take_while(|letter| {
            let before = bytes;
            bytes += letter.body.len();
            before < MOST_BYTES
        });
        let (portion, others) = rest.split_at_checked(fits.count())?;
        rest = others;
        (!portion.is_empty()).then_some(portion)
    })
}

/// Appends all of them or none.
pub(super) fn append(schema: &Schema, letters: &[Letter], wakes: &[String]) -> Result<String, Trouble> {
    let size: usize = letters.iter().map(|letter| 2 * letter.body.len() + letter.id.len() + 40).sum();
    let [mut ids, mut recipients] = [(); 2].map(|()| String::with_capacity(letters.len() * 34));
    let mut bodies = String::with_capacity(size);
    for letter in letters {
        if letter.id.is_empty() || letter.id.len() > LONGEST_ID || !letter.id.bytes().all(|b| b.is_ascii_graphic()) {
            let what = format!("a letter's id is not one: {:?}", letter.id);
            return Err(Trouble::Unfit { what, remedy: "this is a fault of the gateway; report it".to_owned() });
        }
        ids.push_str(&letter.id);
        ids.push(' ');
        match letter.to {
            To::Everyone => recipients.push('-'),
            To::One(gateway) => recipients.push_str(&gateway.to_string()),
        }
        recipients.push(' ');
        bodies.push_str("\\x");
        hex(&mut bodies, &letter.body);
        bodies.push(' ');
    }
    let [ids, recipients, bodies] = [&ids, &recipients, &bodies].map(|list| literal(list.trim_end()));
    Ok(format!("SELECT \"{}\".append({ids}, {recipients}, {bodies}, {})", schema.as_str(), literal(&wakes.join(" "))))
}

/// Drops some of the letters that are older; answers how many. One gateway at a time.
pub(super) fn forget(schema: &Schema, age: Duration) -> String {
    let (schema, millis) = (schema.as_str(), age.as_millis());
    format!(
        "WITH turn AS MATERIALIZED (\
           SELECT pg_try_advisory_xact_lock({FORGETTING}, '\"{schema}\".letters'::regclass::oid::integer) AS mine), \
         oldest AS MATERIALIZED (\
           SELECT position, appended_at FROM \"{schema}\".letters \
             WHERE (SELECT mine FROM turn) ORDER BY position LIMIT {FORGET_AT_ONCE}), \
         dropped AS (\
           DELETE FROM \"{schema}\".letters AS l USING oldest AS o \
             WHERE l.position = o.position AND o.appended_at < clock_timestamp() - interval '{millis} milliseconds' \
             RETURNING l.position), \
         noted AS (\
           UPDATE \"{schema}\".log SET forgotten = greatest(forgotten, (SELECT max(position) FROM dropped)) \
             WHERE EXISTS (SELECT FROM dropped)) \
         SELECT count(*) FROM dropped"
    )
}

/// Drops some letters for one gateway that are that old: the heartbeats of many gateways are many.
pub(super) fn forget_for_one(schema: &Schema, age: Duration) -> String {
    let (schema, millis) = (schema.as_str(), age.as_millis());
    format!(
        "WITH dropped AS (\
           DELETE FROM \"{schema}\".letters WHERE position IN (\
             SELECT position FROM \"{schema}\".letters WHERE recipient IS NOT NULL \
               AND appended_at < clock_timestamp() - interval '{millis} milliseconds' LIMIT {FORGET_AT_ONCE}) \
             RETURNING position) \
         SELECT count(*) FROM dropped"
    )
}

/// Takes or keeps a lease; answers the counter of its fence, or with no row. The row is locked before the clock is read.
pub(super) fn lease(schema: &Schema, name: &str, me: GatewayId, term: Duration) -> String {
    let (schema, name, term) = (schema.as_str(), literal(name), term.as_millis());
    let ends_at = format!("clock_timestamp() + interval '{term} milliseconds'");
    format!(
        "INSERT INTO \"{schema}\".leases AS l (name, holder, fence, ends_at) \
           VALUES ({name}, '\\x{me}'::bytea, 1, {ends_at}) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends_at = {ends_at}, fence = l.fence + 1 \
           WHERE l.holder = excluded.holder OR l.ends_at <= clock_timestamp() \
         RETURNING fence"
    )
}

/// Ends a lease, if it is held by `me`.
pub(super) fn release(schema: &Schema, name: &str, me: GatewayId) -> String {
    format!(
        "UPDATE \"{}\".leases SET ends_at = '-infinity' WHERE name = {} AND holder = '\\x{me}'::bytea",
        schema.as_str(),
        literal(name)
    )
}

/// A text as it stands in SQL. (`standard_conforming_strings` is on: a backslash is a backslash.) A text of the server's
/// can hold no zero byte.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

fn hex(to: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(to, "{byte:02x}");
    }
}

/// Letters in one transaction.
const MOST_LETTERS: usize = 5_000;
/// Bytes of bodies in one transaction, but for the last: a few milliseconds of everybody's time.
const MOST_BYTES: usize = 1 << 20;
/// Characters of a letter's id.
const LONGEST_ID: usize = 100;
/// The advisory lock of those who drop letters; the letters' is in layout.sql.
const FORGETTING: i32 = 1_886_351_989;
/// Letters that are dropped in one transaction.
const FORGET_AT_ONCE: usize = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str, to: To, body: &[u8]) -> Letter {
        Letter { id: id.to_owned(), to, body: body.to_vec() }
    }

    #[test]
    fn an_append_is_one_statement_whatever_the_ids_hold() {
        let letters = [letter("a'b\\", To::Everyone, b"\x00\xff"), letter("c", To::One(GatewayId(0x0a)), b"")];
        assert_eq!(
            append(&Schema::default(), &letters, &["pc_portcullis".to_owned()]),
            Ok("SELECT \"portcullis\".append('a''b\\ c', '- 0000000000000000000000000000000a', '\\x00ff \\x', \
                'pc_portcullis')"
                .to_owned())
        );
    }

    #[test]
    fn an_id_that_would_be_two_is_refused() {
        for id in ["", "a b", "a\nb", "ä", "a\0", &"x".repeat(101)] {
            let refused = append(&Schema::default(), &[letter(id, To::Everyone, b"")], &[]);
            assert!(refused.is_err_and(|trouble| trouble.is_configuration()), "{id:?}");
        }
    }

    #[test]
    fn portions_are_bounded_and_hold_everything_in_order() {
        let small: Vec<_> = (0..12_001).map(|n| letter(&n.to_string(), To::Everyone, b"x")).collect();
        let large: Vec<_> = (0..9).map(|n| letter(&n.to_string(), To::Everyone, &[0; Letter::MAX_BODY])).collect();
        for (letters, sizes) in [(&small, vec![5_000, 5_000, 2_001]), (&large, vec![4, 4, 1]), (&vec![], vec![])] {
            let portions: Vec<_> = portions(letters).collect();
            assert_eq!(portions.iter().map(|portion| portion.len()).collect::<Vec<_>>(), sizes);
            assert_eq!(&portions.concat(), letters);
        }
    }

    #[test]
    fn a_literal_ends_where_the_text_does() {
        for (text, expected) in [("", "''"), ("it's", "'it''s'"), ("\\'; --", "'\\''; --'"), ("a\0b", "'ab'")] {
            assert_eq!(literal(text), expected);
        }
    }
}
