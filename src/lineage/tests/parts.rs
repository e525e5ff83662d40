//! Cookies that are too large for one: how they travel, what is left of them, and what somebody made of their parts.

use super::*;

/// What one browser keeps of one site, oldest first.
#[derive(Default)]
struct Jar(Vec<Kept>);

struct Kept {
    name: String,
    /// `Path` and `Domain`, as far as they tell cookies of one name apart.
    place: String,
    value: String,
}

impl Jar {
    /// Takes a `Set-Cookie` value as browsers do.
    fn set(&mut self, field: &str) {
        assert!(field.len() <= 4093, "{} bytes: `{field}`", field.len());
        let (pair, attributes) = field.split_once(';').expect("attributes");
        let (name, value) = pair.split_once('=').expect("pair");
        let of = |attribute: &str| attributes.split(';').rev().find_map(|a| a.trim().strip_prefix(attribute));
        let [path, domain, age] = ["Path=", "Domain=", "Max-Age="].map(|a| of(a).unwrap_or_default());
        let place = format!("{path} {domain} {}", attributes.contains("Partitioned"));
        let known = self.0.iter().position(|kept| kept.name == name && kept.place == place);
        match known {
            Some(at) if age == "0" => drop(self.0.remove(at)),
            Some(at) => self.0[at].value = value.to_owned(),
            None if age == "0" => {}
            None => self.0.push(Kept { name: name.to_owned(), place, value: value.to_owned() }),
        }
    }

    fn take(&mut self, dressed: &Dressed, same: &str) -> usize {
        let fields = match dressed {
            Dressed::Same => vec![same.as_bytes().to_vec()],
            Dressed::Sealed(field) => vec![field.clone()],
            Dressed::Several(fields) => fields.clone(),
            Dressed::Dropped => vec![],
        };
        for field in &fields {
            self.set(std::str::from_utf8(field).expect("text"));
        }
        fields.len()
    }

    fn cookies(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|kept| (kept.name.as_str(), kept.value.as_str())).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|kept| kept.name.as_str()).collect()
    }
}

/// A cookie of that many bytes of value.
fn large(name: &str, size: usize, attributes: &str) -> String {
    let value: String = (0..size).map(|n| char::from(b'a' + u8::try_from(n * 7 % 26).expect("a letter"))).collect();
    format!("{name}={value}{attributes}")
}

fn pair(field: &str) -> &str {
    field.split(';').next().expect("pair")
}

#[test]
fn a_large_value_travels_in_parts_and_comes_back_byte_for_byte() {
    let stage = Stage::new();
    let ann = session(&stage.ring, WHO[0], NOW);
    let host = "; Path=/; Secure; HttpOnly; SameSite=Lax; Partitioned";
    let wide = "; Domain=example; expires=Fri, 15 Jan 2100 08:00:00 GMT; HttpOnly";
    for (name, size, attributes, expected) in [
        (".AspNetCore.Cookies", 2600, host, Some(1)),
        (".AspNetCore.CookiesC1", 4050, host, Some(2)),
        ("__Host-SID", 4050, host, Some(2)),
        ("__Secure-SID", 7000, "; Secure; HttpOnly", Some(3)),
        ("SID", 10_000, wide, Some(4)),
        ("SID", 11_000, wide, Some(4)),
        ("SID", 13_000, wide, None),
    ] {
        let field = large(name, size, attributes);
        let dressed = stage.set(field.as_bytes(), Some(&ann), &[]);
        let mut jar = Jar::default();
        let parts = jar.take(&dressed, &field);
        assert_eq!((dressed != Dressed::Dropped).then_some(parts), expected, "{size} bytes of {name}");
        if let Dressed::Several(fields) = &dressed {
            assert!(fields.iter().all(|part| part.ends_with(attributes.as_bytes())), "as the app wrote them");
        }
        assert!(jar.names().iter().all(|part| part.starts_with(name)), "{:?}", jar.names());
        let mut cookies = jar.cookies();
        for _ in 0..2 {
            let received = stage.send(&cookies, Some(&ann), Standing::default());
            let whole = expected.map(|_| pair(&field).to_owned());
            assert_eq!(self::field(&received), whole, "{size} bytes of {name}");
            assert!(received.faults.is_empty() && received.expiries.is_empty());
            // A part is known by what it says, not by where it stands.
            cookies.reverse();
        }
    }
}

#[test]
fn what_is_not_whole_is_not_there_and_no_app_sees_a_part() {
    let stage = Stage::new();
    let ann = session(&stage.ring, WHO[0], NOW);
    let jar = |name: &str| {
        let field = large(name, 7000, "; Path=/w; HttpOnly");
        let mut jar = Jar::default();
        assert_eq!(jar.take(&stage.set(field.as_bytes(), Some(&ann), &[]), ""), 3);
        jar
    };
    let (mine, again, other) = (jar("SID"), jar("SID"), jar("OTHER"));
    let [one, two, three] = mine.cookies()[..] else { panic!("three parts") };
    let renamed = |(_, value), (name, _)| (name, value);
    let rewritten = two.1.replacen("~2.3.", "~3.3.", 1);
    let stretched = format!("{}A", three.1);
    let torn = two.1.get(..two.1.len() - 4).expect("letters");
    let few = one.1.replacen("~1.3.", "~1.2.", 1);
    let many = one.1.replacen("~1.3.", "~1.9.", 1);
    let tail = one.1.get(one.1.len() - 20..).expect("letters");
    for (what, cookies) in [
        ("the first alone", vec![one]),
        ("no first", vec![two, three]),
        ("no last", vec![one, two]),
        ("one twice", vec![one, two, two, three]),
        ("the first twice", vec![one, one, two, three]),
        ("two changed places", vec![one, renamed(three, two), renamed(two, three)]),
        ("of another value", vec![one, two, again.cookies()[2]]),
        ("of another cookie", vec![one, two, renamed(other.cookies()[2], three)]),
        ("under another name", other.cookies().iter().zip(mine.cookies()).map(|(o, m)| (o.0, m.1)).collect()),
        ("another number", vec![one, (three.0, rewritten.as_str()), (two.0, three.1)]),
        ("longer", vec![one, two, (three.0, &stretched)]),
        ("shorter", vec![one, (two.0, torn), three]),
        ("said to be fewer", vec![(one.0, &few), two, three]),
        ("said to be more than there can be", vec![(one.0, &many), two, three]),
        ("a letter for a number", vec![(one.0, "pcl1.~a.3.AAAAAAAA.x"), two, three]),
        ("nothing in it", vec![(one.0, "pcl1.~"), (two.0, "pcl1.~2.3."), (three.0, "pcl1.~.~.~.~")]),
        ("a tail without its mark", vec![(one.0, tail), two, three]),
    ] {
        for session in [Some(&ann), None] {
            let received = stage.send(&cookies, session, Standing::default());
            let raw = cookies.iter().find(|(_, value)| !value.starts_with(MARK) && session.is_none());
            let expected = raw.map(|(name, value)| format!("{name}={value}")).unwrap_or_default();
            assert_eq!(field(&received), Some(expected), "{what}");
            assert!(received.kept.is_empty(), "{what}");
            let faults = cookies.len() - usize::from(raw.is_some());
            assert_eq!(received.faults.len(), faults, "{what}: {:?}", received.faults);
            assert!(received.faults.iter().all(|fault| fault.is_of_the_seal()), "{what}: {:?}", received.faults);
            for (name, _) in cookies.iter().filter(|cookie| Some(*cookie) != raw) {
                let gone = format!("{name}=; Path=/w; Max-Age=0");
                assert!(received.expiries.iter().any(|e| e.starts_with(&gone)), "{what}: {:?}", received.expiries);
            }
        }
    }
}

#[test]
fn cookies_of_one_name_and_several_paths_keep_their_parts_apart() {
    let stage = Stage::new();
    let (ann, ben) = (session(&stage.ring, WHO[0], NOW), session(&stage.ring, ("ben", 3), NOW));
    let fields = [
        (large("SID", 4000, "; Path=/w/deep; HttpOnly"), &ann),
        (large("SID", 4010, "; Path=/w; HttpOnly"), &ann),
        (large("SID", 4020, "; Path=/; HttpOnly"), &ben),
    ];
    let mut jar = Jar::default();
    for (field, whose) in &fields {
        assert_eq!(jar.take(&stage.set(field.as_bytes(), Some(whose), &[]), ""), 2);
    }
    let received = stage.send(&jar.cookies(), Some(&ann), Standing::default());
    assert_eq!(field(&received), Some(format!("{}; {}", pair(&fields[0].0), pair(&fields[1].0))));
    assert_eq!(received.faults, [Fault::OtherPerson]);
    for expiry in &received.expiries {
        jar.set(expiry);
    }
    assert_eq!(jar.names(), ["SID", "SID.pcl2", "SID", "SID.pcl2"], "what was somebody else's is gone");
}

#[test]
fn what_is_over_is_forgotten_in_all_its_parts() {
    let stage = Stage::new();
    let ann = session(&stage.ring, WHO[0], at(0));
    let again = session(&stage.ring, WHO[1], at(100));
    let over = Standing { terminated: Some(at(50)), reestablish: None, held: None };
    let hold = Standing { terminated: None, reestablish: Some(at(50)), held: None };
    for attributes in ["; Path=/w/x; Domain=wiki.example; HttpOnly", "; HttpOnly; Secure; Path=/; Partitioned"] {
        let field = large("SID", 7000, attributes);
        let mut jar = Jar::default();
        assert_eq!(jar.take(&stage.set(field.as_bytes(), Some(&ann), &[]), ""), 3);
        let received = stage.send(&jar.cookies(), None, hold);
        assert_eq!((self::field(&received).as_deref(), received.faults.as_slice()), (Some(""), &[Fault::Withheld][..]));
        assert!(received.expiries.is_empty(), "it is to live on");
        let received = stage.send(&jar.cookies(), Some(&again), over);
        assert_eq!(received.faults, [Fault::Terminated]);
        for expiry in &received.expiries {
            jar.set(expiry);
        }
        assert_eq!(jar.names(), [""; 0], "{attributes}");
    }
}

#[test]
fn what_is_set_smaller_or_deleted_leaves_no_part_behind() {
    let attributes = "; Path=/w/x; HttpOnly; Max-Age=600; SameSite=Strict";
    let ann = |stage: &Stage| session(&stage.ring, WHO[0], NOW);
    let deleted = "SID=; Path=/w/x; Max-Age=0; HttpOnly; SameSite=Strict".to_owned();
    let public = format!("SID=for nobody{attributes}");
    for (what, next, signed_in, left, sent) in [
        ("as large", large("SID", 7001, attributes), true, 3, 3),
        ("smaller", large("SID", 3500, attributes), true, 2, 3),
        ("small", large("SID", 10, attributes), true, 1, 3),
        ("larger", large("SID", 9500, attributes), true, 4, 4),
        ("deleted", deleted, true, 0, 3),
        ("set on a public path", public, false, 1, 3),
        ("too large", large("SID", 20_000, attributes), true, 3, 0),
    ] {
        let stage = Stage::new();
        let ann = ann(&stage);
        let mut jar = Jar::default();
        jar.take(&stage.set(large("SID", 7000, attributes).as_bytes(), Some(&ann), &[]), "");
        // A gateway that was started since learns from a request what is with the browser.
        let stage = Stage { names: Names::default(), ..stage };
        stage.send(&jar.cookies(), Some(&ann), Standing::default());
        let dressed = stage.set(next.as_bytes(), signed_in.then_some(&ann), &[]);
        assert_eq!((jar.take(&dressed, &next), jar.0.len()), (sent, left), "{what}: {:?}", jar.names());
    }
}

#[test]
fn parts_that_nobody_knew_of_are_forgotten_when_they_come() {
    let mut stage = Stage::new();
    let ann = session(&stage.ring, WHO[0], NOW);
    let attributes = "; Path=/w/x; Domain=wiki.example; HttpOnly";
    let (mut jar, small) = (Jar::default(), large("SID", 10, attributes));
    jar.take(&stage.set(large("SID", 7000, attributes).as_bytes(), Some(&ann), &[]), "");
    stage.names = Names::default();
    assert_eq!(jar.take(&stage.set(small.as_bytes(), Some(&ann), &[]), ""), 1);
    assert_eq!(jar.names(), ["SID", "SID.pcl2", "SID.pcl3"]);
    let received = stage.send(&jar.cookies(), Some(&ann), Standing::default());
    assert_eq!(field(&received).as_deref(), Some(pair(&small)));
    for expiry in &received.expiries {
        jar.set(expiry);
    }
    assert_eq!(jar.names(), ["SID"]);
}

#[test]
fn a_large_value_that_is_set_again_keeps_its_lineage() {
    let stage = Stage::new();
    let (first, again) = (session(&stage.ring, WHO[0], at(0)), session(&stage.ring, WHO[1], at(100)));
    let (mut jar, field) = (Jar::default(), large("SID", 4050, "; Path=/w; HttpOnly"));
    jar.take(&stage.set(field.as_bytes(), Some(&first), &[]), "");
    let kept = stage.send(&jar.cookies(), Some(&again), Standing::default()).kept;
    jar.take(&stage.set(field.as_bytes(), Some(&again), &kept), "");
    let kept = stage.send(&jar.cookies(), Some(&again), Standing::default()).kept;
    assert_eq!(kept.iter().map(|kept| kept.cookie.lineage.asserted_at).collect::<Vec<_>>(), [at(0)]);
}

/// Thousands of heaps of parts, cut and mixed: what opens is what was sealed, and nothing panics.
#[test]
fn no_heap_of_parts_opens_as_anything_else() {
    let stage = Stage::new();
    let ann = session(&stage.ring, WHO[0], NOW);
    let fields = [large("SID", 4000, "; HttpOnly"), large("SID", 7000, "; HttpOnly"), large("SID", 30, "; HttpOnly")];
    let mut known = Vec::new();
    for field in &fields {
        let mut jar = Jar::default();
        jar.take(&stage.set(field.as_bytes(), Some(&ann), &[]), "");
        known.extend(jar.0.into_iter().map(|kept| (kept.name, kept.value)));
    }
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).expect("31 bits") % bound
    };
    let mut opened = 0;
    for round in 0..3_000 {
        let mut heap: Vec<_> = (0..below(9)).map(|_| known[below(known.len())].clone()).collect();
        if below(3) == 0 && !heap.is_empty() {
            let (at, name) = (below(heap.len()), known[below(known.len())].0.clone());
            let value = &mut heap[at].1;
            match below(3) {
                0 => heap[at].0 = name,
                1 => value.truncate(MARK.len() + below(value.len())),
                _ => value.insert(MARK.len() + below(16), ['~', '.', '2', '3', 'A'][below(5)]),
            }
        }
        let cookies: Vec<_> = heap.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let received = stage.send(&cookies, Some(&ann), Standing::default());
        for kept in &received.kept {
            let pair = format!("{}={}", kept.name, String::from_utf8_lossy(&kept.cookie.value));
            assert!(fields.iter().any(|field| self::pair(field) == pair), "round {round}");
            opened += 1;
        }
        let field = field(&received).unwrap_or_default();
        assert!(!field.contains(MARK) && !field.contains('~'), "round {round}: {field}");
    }
    assert!(opened > 1000, "{opened} opened tell too little");
}
