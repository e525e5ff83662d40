//! How far a stream reaches among the people of its IdPs (law 7): addresses of which domains, which tenants, which apps.

use super::{Refused, Settings};
use crate::identity::{Target, TargetKind};
use crate::revocation::{Reach, Whom};

/// The bounds of a stream's authority. An empty list is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The domains whose addresses it may name, in lower case.
    pub email_domains: Vec<String>,
    /// The tenants whose people it may name.
    pub tenants: Vec<String>,
    /// The apps in which it counts.
    pub apps: Vec<String>,
    /// People that it may revoke in a minute; what goes beyond awaits approval.
    pub users_per_minute: Option<usize>,
}

impl Bounds {
    /// Where a revocation counts.
    pub fn reach(&self) -> Reach {
        if self.apps.is_empty() { Reach::All } else { Reach::Apps(self.apps.clone()) }
    }

    /// Whom of `whoms` it may name: addresses of its domains; and of its tenants' people only, whoever else has the same
    /// name. What is outside is refused, unless something inside names the same people, too.
    pub(super) fn within(&self, whoms: Vec<Whom>) -> Result<Vec<Whom>, Refused> {
        let (mut inside, mut outside) = (Vec::new(), None);
        for whom in whoms {
            if !whom.targets().iter().all(|target| self.speaks_of_address(target)) {
                outside = Some(Refused::Domain);
            } else if let Some(narrowed) = self.of_its_tenants(whom) {
                inside.extend(narrowed);
            } else {
                outside = Some(Refused::Tenant);
            }
        }
        match outside {
            Some(refused) if inside.is_empty() => Err(refused),
            _ => Ok(inside),
        }
    }

    fn speaks_of_address(&self, target: &Target) -> bool {
        if target.kind != TargetKind::Email || self.email_domains.is_empty() {
            return true;
        }
        let domain = target.value.rsplit_once('@').map(|(_, domain)| domain);
        domain.is_some_and(|domain| self.email_domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain)))
    }

    /// The same people as far as they are of its tenants; `None` for another tenant's.
    fn of_its_tenants(&self, whom: Whom) -> Option<Vec<Whom>> {
        if self.tenants.is_empty() {
            return Some(vec![whom]);
        }
        let mut named = whom.targets().iter().filter(|target| target.kind == TargetKind::Tenant).peekable();
        if named.peek().is_some() {
            let ours = named.all(|target| self.tenants.contains(&target.value));
            return ours.then(|| vec![whom]);
        }
        let issuer = &whom.targets().first()?.issuer;
        let narrowed = self.tenants.iter().filter_map(|tenant| {
            let tenant = Target::new(issuer, TargetKind::Tenant, tenant)?;
            Whom::all_of(whom.targets().iter().cloned().chain([tenant]).collect())
        });
        Some(narrowed.collect::<Vec<_>>()).filter(|narrowed| !narrowed.is_empty())
    }
}

impl Settings {
    /// Whom of `whoms` the stream may revoke.
    pub(super) fn may_revoke(&self, whoms: Vec<Whom>) -> Result<Vec<Whom>, Refused> {
        if let Some(width) = whoms.iter().map(super::Widest::of).max().filter(|width| *width > self.widest) {
            return Err(Refused::TooWide(width));
        }
        self.bounds.within(whoms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Issuer;

    fn whom(facts: &[(TargetKind, &str)]) -> Whom {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        let target = |(kind, value): &(TargetKind, &str)| Target::new(&issuer, *kind, value).expect("target");
        Whom::all_of(facts.iter().map(target).collect()).expect("whom")
    }

    #[test]
    fn a_stream_reaches_its_domains_and_tenants_and_nobody_else() {
        use TargetKind::{Device, Email, Tenant, User};
        let bounds = |domains: &[&str], tenants: &[&str]| Bounds {
            email_domains: domains.iter().map(|one| (*one).to_owned()).collect(),
            tenants: tenants.iter().map(|one| (*one).to_owned()).collect(),
            ..Bounds::default()
        };
        let (free, corp, b) = (bounds(&[], &[]), bounds(&["corp.com"], &[]), bounds(&[], &["b"]));
        let two = bounds(&[], &["b", "c"]);
        let ann = whom(&[(Email, "ann@corp.com")]);
        let eve = whom(&[(Email, "eve@evil.com")]);
        let sub = whom(&[(User, "ann")]);
        for (name, bounds, whoms, expected) in [
            ("no bound", &free, vec![ann.clone(), eve.clone()], Ok(vec![ann.clone(), eve.clone()])),
            ("its domain", &corp, vec![ann.clone()], Ok(vec![ann])),
            ("another domain", &corp, vec![eve.clone()], Err(Refused::Domain)),
            ("below its domain", &corp, vec![whom(&[(Email, "a@sub.corp.com")])], Err(Refused::Domain)),
            ("ends like its domain", &corp, vec![whom(&[(Email, "a@notcorp.com")])], Err(Refused::Domain)),
            ("one alias is another domain's", &corp, vec![eve, sub.clone()], Ok(vec![sub.clone()])),
            (
                "a member is another domain's",
                &corp,
                vec![whom(&[(Email, "e@e.com"), (Device, "d")])],
                Err(Refused::Domain),
            ),
            ("no tenant named", &b, vec![sub.clone()], Ok(vec![whom(&[(User, "ann"), (Tenant, "b")])])),
            (
                "no tenant named, of two",
                &two,
                vec![sub],
                Ok(vec![whom(&[(User, "ann"), (Tenant, "b")]), whom(&[(User, "ann"), (Tenant, "c")])]),
            ),
            ("its tenant", &b, vec![whom(&[(Tenant, "b")])], Ok(vec![whom(&[(Tenant, "b")])])),
            ("another tenant", &b, vec![whom(&[(Tenant, "a")])], Err(Refused::Tenant)),
            ("another tenant's user", &b, vec![whom(&[(Tenant, "a"), (User, "ann")])], Err(Refused::Tenant)),
            ("nobody", &b, vec![], Ok(vec![])),
        ] {
            assert_eq!(bounds.within(whoms), expected, "{name}");
        }
    }
}
