//! Whether one revocation, by itself, names a credential and covers it. The set answers for all of them together, and
//! does not remember which it was.

use super::rule::{self, Member};
use super::{Credential, Mode, Revocation, rules};
use crate::identity::{TargetHasher, TargetKey, TargetKind};
use crate::time::Timestamp;

/// One revocation, with its targets hashed as the set has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    rules: Vec<Vec<Member>>,
    mode: Mode,
    cut_off: Timestamp,
    /// Nobody who is named is let in, however new their assertion.
    holds: bool,
}

impl Cover {
    /// What `revocation` covers.
    pub fn of(revocation: &Revocation, hashers: &[&TargetHasher]) -> Self {
        let Revocation { mode, cut_off, .. } = revocation;
        Self { rules: rules(revocation, hashers), mode: *mode, cut_off: *cut_off, holds: *mode == Mode::Hold }
    }

    /// A hold was lifted at that moment; one of the same second stays (law 1).
    pub fn lift(&mut self, at: Timestamp) {
        self.holds &= self.cut_off >= at;
    }

    /// True while nobody who is named is let in.
    pub const fn holds(&self) -> bool {
        self.holds
    }

    /// One key of each rule: whoever is named has one of them, in all apps or mixed with an app's.
    pub fn anchors(&self) -> impl Iterator<Item = TargetKey> {
        self.rules.iter().filter_map(|members| rule::anchor(members)).map(|member| member.key)
    }

    /// True if the people behind `credential` are named, in its app.
    pub fn names(&self, credential: &Credential<'_>) -> bool {
        let named = |targets: &[(TargetKind, TargetKey)]| self.rules.iter().any(|rule| rule::matches(rule, targets));
        let in_app =
            || -> Vec<_> { credential.targets.iter().map(|(kind, key)| (*kind, key.in_app(credential.app))).collect() };
        named(credential.targets) || named(&in_app())
    }

    /// True if `credential` is over by this revocation.
    pub fn covers(&self, credential: &Credential<'_>) -> bool {
        let proven = credential.auth_time.unwrap_or(Timestamp::ZERO).min(credential.asserted_at);
        let is_older = match self.mode {
            Mode::Terminate | Mode::Hold => proven <= self.cut_off,
            Mode::Reestablish => credential.asserted_at <= self.cut_off,
        };
        (is_older || self.holds) && self.names(credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AppKey, Issuer, Target};
    use crate::jose::tests::Xorshift;
    use crate::revocation::{Origin, Reach, RevocationSet, Whom};

    fn target(kind: TargetKind, value: &str) -> Target {
        Target::new(&Issuer::parse("https://idp.example.com").expect("issuer"), kind, value).expect("target")
    }

    #[test]
    fn one_revocation_covers_what_a_set_of_it_alone_does_not_let_pass() {
        use TargetKind::{Device, Email, Group, Session, Tenant, User};
        let hasher = TargetHasher::new(&[7; 32]);
        let facts = [(User, "ann"), (User, "bob"), (Email, "a@b.c"), (Session, "s1"), (Device, "d"), (Tenant, "t")];
        let facts = [&facts[..], &[(Group, "staff"), (Group, "ops")]].concat();
        let seed = 0x9e37_79b9_7f4a_7c15;
        println!("seed {seed:#x}");
        let mut random = Xorshift(seed);
        let mut covered = 0;
        for _ in 0..20_000 {
            let mut some = |at_least: usize| loop {
                let some: Vec<_> = facts.iter().filter(|_| random.below(3) == 0).copied().collect();
                if some.len() >= at_least {
                    break some;
                }
            };
            let named = some(1).into_iter().map(|(kind, value)| target(kind, value)).collect();
            let targets: Vec<_> = some(0).into_iter().map(|(k, value)| (k, hasher.key(&target(k, value)))).collect();
            let mut time = |most| Timestamp::from_secs(random.below(most) as u64);
            let (cut_off, asserted_at, auth_time) = (time(9), time(9), Some(time(9)));
            let revocation = Revocation {
                whom: Whom::all_of(named).expect("whom"),
                reach: if random.below(2) == 0 { Reach::All } else { Reach::Apps(vec!["wiki".into()]) },
                mode: [Mode::Terminate, Mode::Reestablish, Mode::Hold][random.below(3)],
                cut_off: cut_off.max(Timestamp::from_secs(1)),
                origin: Origin::Operator,
                reason: None,
                said: Default::default(),
                received_at: cut_off,
            };
            let auth_time = auth_time.filter(|_| random.below(4) > 0);
            let app = AppKey::of(if random.below(2) == 0 { "wiki" } else { "mail" });
            let credential = Credential { targets: &targets, asserted_at, auth_time, app };
            let alone = RevocationSet::default();
            alone.insert(&revocation, &[&hasher]);
            let expected = !alone.judge(&credential).is_clear();
            let cover = Cover::of(&revocation, &[&hasher]);
            assert_eq!(cover.covers(&credential), expected, "{revocation:?} and {credential:?}");
            covered += usize::from(expected);
            if expected {
                let keys: Vec<_> = targets.iter().flat_map(|(_, key)| [*key, key.in_app(app)]).collect();
                assert!(cover.anchors().any(|anchor| keys.contains(&anchor)), "it is found: {revocation:?}");
            }
        }
        assert!(covered > 500, "{covered} of 20,000 say little");
    }
}
