//! A request, as the gateway treats it and as the laws do; and what the app gives out in its answer.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis::apps::{Access, Asked as Asks, CanonicalPath};
use portcullis::decision::{self, Client, Decision};
use portcullis::evidence::{self, Evidence, Reading, Root};
use portcullis::exchanges::{Cut, Exchange, Held, Kind};
use portcullis::lineage::{self, AppToken, Dressed, Kept, Lineage, Scene};
use portcullis::session::Session;

use super::world::{Counted, Flight, Holding, PLACES, RETENTION, TOKEN, World, at};
use crate::Dice;
use crate::law::{Asked, Made, user};
use crate::words::Shown;

/// A request that somebody sends, and what the model knows of it.
struct Sent {
    asked: Asked,
    path: CanonicalPath,
    headers: HeaderMap,
}

impl World<'_> {
    /// A request: what it shows is collected, entered, judged and decided, as the gateway does it.
    pub(super) fn asks(&mut self, dice: &mut Dice, counted: &mut Counted) {
        let Sent { asked, path, headers } = self.sends(dice);
        let expected = asked.verdict(&self.happened, self.now, self.now.saturating_sub(RETENTION), TOKEN);
        let here = || format!("{asked:#?}\nat {}: {expected:#?}\n{:#?}", self.now, self.happened);

        let (app, ring, enforcer, now) = (self.app(asked.place.name), self.ring, &self.enforcer, at(self.now));
        let (by, public) = match app.asks(&path) {
            Asks::Public => (Access::Public, true),
            Asks::Person { by, .. } => (by, false),
        };
        let horizon = enforcer.horizon(now);
        let cookies = evidence::cookies(&headers).expect("cookies");
        let mut evidence = Evidence::from(evidence::collect(Some(&cookies), app, ring, &self.config.session, now));
        let borne = evidence::in_headers(&headers, by, &Reading { app, ring, horizon, now });
        (evidence.bearers, evidence.bad_token) = (borne.bearers, borne.bad);
        let counts = |session: &&Session| !public || enforcer.judge(&session.credential(app.key)).is_clear();
        let session = evidence.session().filter(counts);
        // On public paths nobody's session counts, so nobody's end cuts.
        let judged = session.filter(|_| !public);
        let own = judged.map(Lineage::of);
        let borne = evidence.bearers.iter().map(|b| b.judged(judged, enforcer.returned_at(&b.lineage.targets)));
        let borne: Vec<_> = borne.collect();
        let behind = own.as_ref().or_else(|| borne.first());
        let in_public = session.map(Lineage::of);
        let scene_behind = if public { in_public.as_ref() } else { behind };
        let scene = Scene { app, ring, names: &self.names, behind: scene_behind, public, horizon };
        let received = lineage::receive(&cookies, &scene, |credential| enforcer.judge(credential));
        let cookies = received.lineages(behind);
        let ends = judged.map(|session| session.end(&self.config.session)).into_iter();
        let exchange = Exchange {
            credentials: own.into_iter().chain(borne).chain(cookies).map(Held::from).collect(),
            app: app.key,
            app_name: asked.place.name.into(),
            kind: *dice.pick(&Kind::ALL),
            ends_at: ends.chain(evidence.bearers.iter().map(|bearer| bearer.ends_at)).min(),
        };
        let cut = Cut::new();
        let (standing, guard) = enforcer.admit(exchange, &cut).expect("room");
        let request = decision::Request { client: Client::Fetch, path: &path, origin: None, blind: false };
        let decided = decision::decide(&request, app, &evidence, standing);

        assert_eq!(decided.word(), expected.word, "{}", here());
        assert_eq!(standing, expected.standing, "{}", here());
        *counted.words.entry(expected.word).or_default() += 1;
        if !matches!(decided, Decision::Forward(_)) {
            return;
        }
        let kept: Vec<_> = received.kept.iter().map(|kept| kept.name.clone()).collect();
        assert_eq!(kept, expected.kept, "{}", here());
        let root = Root::of(session, &evidence.bearers, app.minting.as_ref().expect("tokens"));
        let end = root.as_ref().map(|root| root.ends_at.secs());
        assert_eq!(end, expected.parent.as_ref().map(|parent| parent.end), "{}", here());
        if let (Some(root), Some(parent)) = (root, &expected.parent) {
            // A cookie grows from the session; without one, from the token.
            let lineage = session.map_or_else(|| root.lineage.clone(), Lineage::of);
            let of_session = session.and(asked.session.as_ref()).map(|session| &session.root);
            if dice.one_in(3) {
                self.sets_cookie(&asked, &lineage, of_session.unwrap_or(&parent.root), &received.kept, dice);
            }
            if dice.one_in(5) {
                self.mints_token(&asked, root, parent, counted);
            }
        }
        // A public path asks nobody; what runs there on a cookie that it withholds from nobody is not looked for.
        if standing.is_clear() && dice.one_in(2) {
            let (held, end) = (expected.held, expected.end);
            self.flights.push(Flight { app: asked.place.name, held, end, cut, guard, over: false });
        }
    }

    /// Somebody sends what they hold, mostly where it belongs and mostly their own.
    fn sends(&self, dice: &mut Dice) -> Sent {
        let place = *dice.pick(&PLACES);
        let public = dice.one_in(6);
        let here = |host: &str, dice: &mut Dice| host == place.host || dice.one_in(12);
        let sessions: Vec<_> = self.sessions.iter().filter(|session| here(session.known.host, dice)).collect();
        let session = (!sessions.is_empty() && !dice.one_in(6)).then(|| *dice.pick(&sessions));
        let whose = session.map(|session| user(&session.known.root));
        let mut some = |from: &'_ [Holding<Made>], most: u64| {
            let mut picked: Vec<Holding<Made>> = vec![];
            for made in from {
                let fits = (made.known.realm == place.realm || dice.one_in(20))
                    && (whose.is_none_or(|who| who == user(&made.known.root)) || dice.one_in(20))
                    && picked.iter().all(|other| other.known.name != made.known.name);
                if fits && (picked.len() as u64) < most && dice.one_in(3) {
                    picked.push(made.clone());
                }
            }
            picked
        };
        let cookies = some(&self.cookies, 3);
        let tokens = if public { vec![] } else { some(&self.tokens, 2) };

        let pairs = session.iter().flat_map(|session| &session.sent).chain(cookies.iter().flat_map(|made| &made.sent));
        let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, text: &str| headers.insert(name, HeaderValue::from_str(text).expect("text"));
        put(COOKIE, &pairs.join("; "));
        for (n, (_, text)) in tokens.iter().flat_map(|made| &made.sent).enumerate() {
            match n {
                0 => put(AUTHORIZATION, &format!("Bearer {text}")),
                _ => put(HeaderName::from_static("x-api-key"), text),
            };
        }
        let path = format!("/{}/{}", place.name, if public { "open" } else { "x" });
        let known = |made: Vec<Holding<Made>>| made.into_iter().map(|made| made.known).collect();
        let session = session.map(|session| session.known.clone());
        let asked = Asked { place, public, session, tokens: known(tokens), cookies: known(cookies) };
        Sent { asked, path: CanonicalPath::parse(&path).expect("path"), headers }
    }

    /// The app sets a cookie: a new one, or one that it was sent, with the same value or another.
    fn sets_cookie(&mut self, asked: &Asked, lineage: &Lineage, root: &Shown, kept: &[Kept], dice: &mut Dice) {
        let sent = |name: &str| asked.cookies.iter().find(|made| made.name == name);
        let old = kept.first().filter(|_| dice.one_in(2)).and_then(|kept| sent(&kept.name));
        self.made += 1;
        let size = if dice.one_in(60) { 4000 } else { 8 };
        let name = old.map_or_else(|| format!("c{}", self.made), |old| old.name.clone());
        // A value that is set again is no newer than it was.
        let (value, root) = match old.filter(|_| dice.one_in(2)) {
            Some(old) => (old.value.clone(), old.root.clone()),
            None => (format!("{:x<size$}", self.made), root.clone()),
        };
        let field = format!("{name}={value}; HttpOnly; Path=/");
        let with = (self.app(asked.place.name), &**self.ring, &self.names);
        let fields = match lineage::dress(field.as_bytes(), with, Some(lineage), kept, "/", at(self.now)) {
            Dressed::Sealed(field) => vec![field],
            Dressed::Several(fields) => fields,
            other => panic!("{other:?}"),
        };
        let pair = |field: &Vec<u8>| {
            let text = std::str::from_utf8(field).expect("text");
            let (name, value) = text.split(';').next()?.split_once('=')?;
            (!value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
        };
        let sent = fields.iter().filter_map(pair).collect();
        let known = Made { name, value, realm: asked.place.realm, root, end: 0 };
        self.cookies.push(Holding { known, sent });
    }

    /// The app gives out a token; for another, if it was sent one.
    fn mints_token(&mut self, asked: &Asked, root: Root, parent: &Made, counted: &mut Counted) {
        counted.refreshed += usize::from(!asked.tokens.is_empty());
        self.made += 1;
        let (name, value) = (format!("t{}", self.made), format!("token {}", self.made));
        let token = AppToken { lineage: root.lineage, person: root.person, ends_at: root.ends_at, value };
        let sealed = token.seal(self.ring, self.app(asked.place.name)).expect("sealed");
        let known = Made { name, realm: asked.place.realm, ..parent.clone() };
        self.tokens.push(Holding { known, sent: vec![(String::new(), sealed)] });
    }
}
