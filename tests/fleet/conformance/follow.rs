//! What is appended comes back: all of it, in order, to whom it is for.

use futures_util::future::join_all;

use super::*;

/// What is appended is in the log, and the log says so.
pub(crate) async fn what_is_appended_is_there(stage: &dyn Stage) {
    let engine = unopened(stage).await;
    let before = engine.open().await.expect("it opens");
    assert_eq!(before.last, Position(0), "a new log is empty");
    engine.append(&[]).await.expect("nothing is kept easily");
    engine.append(&[letter("a"), letter("b")]).await.expect("they are kept");
    let after = engine.open().await.expect("it opens");
    assert_eq!(after.epoch, before.epoch, "it is the same log");
    assert_eq!(texts(&whole_log(&engine).await), ["a", "b"]);
    let other = opened(stage).await.open().await.expect("it opens");
    assert_eq!((other.epoch, other.last >= after.last), (after.epoch, true), "another gateway sees the same");
}

/// Ten write at once while two watch: both see the same, everything, and what each wrote in the order in which it wrote; only
/// what it gave to the engine in one call may change places, for a part of that may have to be told again.
pub(crate) async fn letters_come_in_order_and_none_is_skipped_while_many_write(stage: &dyn Stage) {
    const WRITERS: usize = 10;
    const EACH: usize = 60;
    const AT_ONCE: usize = 3;
    let engine = opened(stage).await;
    let mut watches = [following(&engine, Position(0), ME).await, following(&engine, Position(0), OTHER).await];
    let writers = (0..WRITERS).map(|writer| async move {
        let engine = opened(stage).await;
        for batch in letters(&format!("w{writer}"), EACH).chunks(AT_ONCE) {
            engine.append(batch).await.expect("they are kept");
        }
    });
    let [one, two] = &mut watches;
    let ((), first, second) = tokio::join!(
        async { drop(join_all(writers).await) },
        take(one, Position(0), WRITERS * EACH),
        take(two, Position(0), WRITERS * EACH),
    );
    assert_eq!(first, second, "all see the same log");
    for writer in 0..WRITERS {
        let mut theirs: Vec<_> =
            texts(&first).into_iter().filter(|text| text.starts_with(&format!("w{writer}-"))).collect();
        let mut expected: Vec<_> = (0..EACH).map(|n| format!("w{writer}-{n}")).collect();
        theirs.chunks_mut(AT_ONCE).chain(expected.chunks_mut(AT_ONCE)).for_each(<[_]>::sort);
        assert_eq!(theirs, expected, "what writer {writer} wrote, in its order");
    }
    assert_eq!(whole_log(&engine).await, first, "who comes later sees the same");
}

/// Whoever stores a position goes on from there.
pub(crate) async fn a_watch_begins_at_any_place(stage: &dyn Stage) {
    let engine = opened(stage).await;
    tell(&engine, &letters("a", 20)).await;
    let all = whole_log(&engine).await;
    let end = open(&engine).await.last;
    for seen in [0_usize, 1, 7, 19, 20] {
        let after = seen.checked_sub(1).map_or(Position(0), |last| all[last].position);
        let mut watch = following(&engine, after, ME).await;
        let mut rest = Vec::new();
        while rest.len() < 20 - seen {
            rest.extend(soon("the rest comes", watch.next()).await.expect("no end").expect("no trouble"));
        }
        assert_eq!(rest[..20 - seen], all[seen..], "after {seen} letters");
    }
    let mut watch = following(&engine, end, ME).await;
    tell(&engine, &[letter("new")]).await;
    assert_eq!(texts(&take(&mut watch, end, 1).await), ["new"], "from the end, only what is new comes");
}

/// Also when it is followed later, and what others get keeps its order around it.
pub(crate) async fn a_letter_for_one_reaches_only_that_one(stage: &dyn Stage) {
    let engine = opened(stage).await;
    let mut early = [following(&engine, Position(0), ME).await, following(&engine, Position(0), OTHER).await];
    let sent =
        [letter("a"), letter_to(ME, "me"), letter("b"), letter_to(OTHER, "other"), letter_to(THIRD, "x"), letter("c")];
    for letter in sent {
        tell(&engine, &[letter]).await;
    }
    let mut late = [following(&engine, Position(0), ME).await, following(&engine, Position(0), OTHER).await];
    for watches in [&mut early, &mut late] {
        let (mine, theirs) = (take(&mut watches[0], Position(0), 4).await, take(&mut watches[1], Position(0), 4).await);
        assert_eq!(texts(&mine), ["a", "me", "b", "c"]);
        assert_eq!(texts(&theirs), ["a", "b", "other", "c"]);
        assert_eq!((mine[0].to, mine[1].to), (To::Everyone, To::One(ME)), "it says for whom it is");
        assert_eq!(mine[3].position, theirs[3].position, "a letter has one place for all");
    }
}

/// Whoever is not sure whether it was kept, tells it again.
pub(crate) async fn appending_twice_does_no_harm(stage: &dyn Stage) {
    let engine = opened(stage).await;
    let sent = letters("a", 5);
    for engine in [&engine, &engine, &opened(stage).await] {
        engine.append(&sent).await.expect("it is kept, or was");
    }
    engine.append(&[sent[0].clone(), sent[0].clone(), letter("last")]).await.expect("twice in one call");
    let log = counts(&whole_log(&engine).await);
    assert_eq!(log.len(), 6, "all are there, and nothing else: {log:?}");
}

/// Nothing, one byte, what looks like text and is not, and as much as a letter may have.
pub(crate) async fn letters_of_every_size_come_back_as_they_were(stage: &dyn Stage) {
    let engine = opened(stage).await;
    let mut watch = following(&engine, Position(0), ME).await;
    let sizes = [0, 1, 1_000, 65_536, Letter::MAX_BODY, Letter::MAX_BODY, Letter::MAX_BODY];
    let sent: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(n, size)| {
            let body = (0..*size).map(|i| u8::try_from((i * 31 + n) % 256).expect("a byte")).collect();
            Letter { id: format!("{:a<99}{n}", ""), to: if n == 5 { To::One(ME) } else { To::Everyone }, body }
        })
        .collect();
    tell(&engine, &sent).await;
    let bodies: Vec<_> = take(&mut watch, Position(0), sent.len()).await.into_iter().map(|entry| entry.body).collect();
    let expected: Vec<_> = sent.into_iter().map(|letter| letter.body).collect();
    assert!(bodies == expected, "bytes were changed on the way");
}

/// Whoever was away for long gets all of it, in batches that do not grow without bound.
pub(crate) async fn a_hundred_thousand_letters_come_again(stage: &dyn Stage) {
    const ALL: usize = 100_000;
    let engine = opened(stage).await;
    let begun = tokio::time::Instant::now();
    for batch in letters("letter", ALL).chunks(5_000) {
        tell(&engine, batch).await;
    }
    let appended = begun.elapsed();
    let mut watch = following(&engine, Position(0), ME).await;
    let begun = tokio::time::Instant::now();
    let (mut next, mut largest) = (0_usize, 0);
    soon("all of them come", async {
        while next < ALL {
            let batch = watch.next().await.expect("it does not end").expect("no trouble");
            largest = largest.max(batch.len());
            for entry in batch {
                assert_eq!(text(&entry), format!("letter-{next}"));
                next += 1;
            }
        }
    })
    .await;
    let rate = |span: Duration| {
        u64::try_from(ALL).expect("fits") * 1_000 / u64::try_from(span.as_millis()).expect("fits").max(1)
    };
    eprintln!("{ALL} letters: {}/s appended, {}/s came again", rate(appended), rate(begun.elapsed()));
    assert!(largest > 1, "several at once where several are there");
    assert!(largest <= 10_000, "a batch of {largest}");
}

/// Long before anything polls.
pub(crate) async fn a_new_letter_comes_at_once(stage: &dyn Stage) {
    let (engine, other) = (opened(stage).await, opened(stage).await);
    let mut watch = following(&engine, Position(0), ME).await;
    let mut last = Position(0);
    let mut fastest = Duration::MAX;
    for n in 0..20 {
        let begun = tokio::time::Instant::now();
        other.append(&[letter(format!("{n}"))]).await.expect("it is kept");
        last = take(&mut watch, last, 1).await[0].position;
        fastest = fastest.min(begun.elapsed());
    }
    // A single one may wait for a busy machine; if all do, something polls.
    assert!(fastest < Duration::from_millis(250), "the fastest of 20 took {fastest:?}");
}

/// At any moment, of any call.
pub(crate) async fn dropped_futures_do_no_harm(stage: &dyn Stage) {
    let engine = opened(stage).await;
    tell(&engine, &[letter("before")]).await;
    for micros in [0, 50, 200, 500, 1_000, 2_000, 5_000, 10_000] {
        let span = Duration::from_micros(micros);
        let (a, b) = (letters(&format!("cut-{micros}-a"), 50), letters(&format!("cut-{micros}-b"), 1));
        let _ = tokio::time::timeout(span, engine.append(&a)).await;
        let _ = tokio::time::timeout(span, engine.append(&b)).await;
        let _ = tokio::time::timeout(span, engine.open()).await;
        let _ = tokio::time::timeout(span, engine.lease("cut", ME, Duration::from_secs(1))).await;
        let _ = tokio::time::timeout(span, engine.release("cut", ME)).await;
        if let Ok(Ok(mut watch)) = tokio::time::timeout(span, engine.follow(Position(0), ME)).await {
            let _ = tokio::time::timeout(span, watch.next()).await;
        }
    }
    let mut watch = following(&engine, Position(0), ME).await;
    tell(&engine, &[letter("after")]).await;
    let mut seen = Vec::new();
    while !seen.contains(&"after".to_owned()) {
        seen.extend(texts(&soon("letters come", watch.next()).await.expect("no end").expect("no trouble")));
    }
    assert_eq!(seen.first().map(String::as_str), Some("before"));
    let fence =
        until("the lease can be had", || async { engine.lease("cut", OTHER, Duration::from_secs(9)).await.ok()? });
    fence.await;
}
