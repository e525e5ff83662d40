//! Servers that die, fall silent, or lose their log.

use super::*;

/// Every server is killed while letters are written; what was acknowledged is there afterwards.
pub(crate) async fn what_was_kept_outlives_kill_minus_nine(stage: &dyn Stage) {
    let engine = opened(stage).await;
    let epoch = open(&engine).await.epoch;
    for round in 0..3 {
        let mut kept = Vec::new();
        let writing = async {
            for n in 0.. {
                let id = format!("r{round}-{n}");
                // Whoever gets an error knows nothing; whoever gets none must be right.
                match engine.0.append(&[letter(id.clone())]).await {
                    Ok(()) => kept.push(id),
                    Err(_) => break,
                }
            }
        };
        let killing = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            (0..stage.servers()).for_each(|server| stage.kill(server));
        };
        tokio::join!(writing, killing);
        futures_util::future::join_all((0..stage.servers()).map(|server| stage.start(server))).await;
        assert!(!kept.is_empty(), "some were kept before the servers died");
        assert_eq!(open(&engine).await.epoch, epoch, "it is the same log");
        let log = counts(&whole_log(&engine).await);
        for id in &kept {
            assert!(log.contains_key(id), "{id} was acknowledged, and is gone; {} others are there", log.len());
        }
    }
}

/// One after another is killed while letters are written and followed. Of a single server there is no other to go on.
pub(crate) async fn any_server_may_die_and_nothing_is_lost(stage: &dyn Stage) {
    let (writer, reader) = (opened(stage).await, opened(stage).await);
    let mut told = Vec::new();
    for server in 0..stage.servers() {
        let before = format!("before-{server}");
        tell(&writer, &[letter(before.clone())]).await;
        stage.kill(server);
        let during = format!("during-{server}");
        if stage.servers() == 1 {
            stage.start(server).await;
        }
        tell(&writer, &[letter(during.clone())]).await;
        told.extend([before, during]);
        // The reader's own watch may have died with the server: whoever follows, begins again.
        let mut last = Position(0);
        let mut seen = Vec::new();
        while !told.iter().all(|id| seen.contains(id)) {
            let mut watch = following_once(&reader, last, ME).await;
            while let Some(Ok(batch)) = soon("the watch says something", watch.next()).await {
                for entry in batch {
                    assert!(entry.position > last);
                    last = entry.position;
                    seen.push(text(&entry));
                }
                if told.iter().all(|id| seen.contains(id)) {
                    break;
                }
            }
        }
        if stage.servers() > 1 {
            stage.start(server).await;
        }
    }
}

/// Every call ends in time with [`Trouble::Away`]; when the servers are back, the same objects go on.
pub(crate) async fn a_server_that_is_away_is_an_error_in_time_and_then_it_goes_on(stage: &dyn Stage) {
    let (engine, unopened) = (opened(stage).await, unopened(stage).await);
    tell(&engine, &[letter("before")]).await;
    let mut watch = following_once(&engine, Position(0), ME).await;
    let first = take(&mut watch, Position(0), 1).await;
    (0..stage.servers()).for_each(|server| stage.kill(server));
    for (who, engine) in [("opened", &engine), ("never opened", &unopened)] {
        every_call_says_away(stage, who, &*engine.0).await;
    }
    let ends = async {
        while let Some(Ok(batch)) = watch.next().await {
            assert!(batch.is_empty(), "no letters come from the dead");
        }
    };
    soon("the watch ends with an error", ends).await;
    futures_util::future::join_all((0..stage.servers()).map(|server| stage.start(server))).await;
    for engine in [&engine, &unopened] {
        open(engine).await;
        tell(engine, &[letter("after")]).await;
        let mut watch = following(engine, first[0].position, ME).await;
        assert_eq!(texts(&soon("letters come", watch.next()).await.expect("no end").expect("no trouble"))[0], "after");
    }
}

async fn every_call_says_away(stage: &dyn Stage, who: &str, engine: &dyn Engine) {
    let answers = [
        ("open", answers(stage, "open", engine.open()).await.map(drop)),
        ("append", answers(stage, "append", engine.append(&[letter("lost")])).await),
        ("follow", answers(stage, "follow", engine.follow(Position(0), OTHER)).await.map(drop)),
        ("lease", answers(stage, "lease", engine.lease("a", ME, Duration::from_secs(5))).await.map(drop)),
        ("release", answers(stage, "release", engine.release("b", ME)).await),
    ];
    for (call, answer) in answers {
        assert!(matches!(answer, Err(Trouble::Away(_))), "{who}, {call}: {answer:?}");
    }
}

/// One after another stops where it stands, also the one that leads: what is told meanwhile comes through soon. Of a single
/// server there is no other that could bring it.
pub(crate) async fn any_server_may_fall_silent(stage: &dyn Stage) {
    if stage.servers() == 1 {
        return;
    }
    let (writer, reader) = (opened(stage).await, opened(stage).await);
    let mut last = Position(0);
    for server in 0..stage.servers() {
        let mut watch = following(&reader, last, ME).await;
        stage.pause(server);
        let id = format!("during-{server}");
        tell(&writer, &[letter(id.clone())]).await;
        let mut seen = Vec::new();
        while !seen.contains(&id) {
            match soon("the watch says something", watch.next()).await {
                Some(Ok(batch)) => {
                    last = batch.last().map_or(last, |entry| entry.position);
                    seen.extend(texts(&batch));
                }
                _ => watch = following(&reader, last, ME).await,
            }
        }
        stage.resume(server);
    }
    assert_eq!(counts(&whole_log(&writer).await).len(), stage.servers());
}

/// All servers are stopped where they stand: calls end in time, and a watch either ends or goes on, soon.
pub(crate) async fn a_server_that_says_nothing_is_never_silence_for_long(stage: &dyn Stage) {
    let (engine, unopened) = (opened(stage).await, unopened(stage).await);
    tell(&engine, &[letter("before")]).await;
    let mut watch = following_once(&engine, Position(0), ME).await;
    let first = take(&mut watch, Position(0), 1).await;
    (0..stage.servers()).for_each(|server| stage.pause(server));
    for (who, engine) in [("opened", &engine), ("never opened", &unopened)] {
        every_call_says_away(stage, who, &*engine.0).await;
    }
    // The promise is `deaf_at_most`; a busy machine may add to it.
    let ended = tokio::time::timeout(stage.deaf_at_most() * 3, watch.next()).await;
    let ended = ended.unwrap_or_else(|_| panic!("deaf for longer than {:?}", stage.deaf_at_most() * 3));
    assert!(matches!(ended, Some(Err(Trouble::Away(_)))), "{ended:?}");
    (0..stage.servers()).for_each(|server| stage.resume(server));
    open(&engine).await;
    tell(&engine, &[letter("after")]).await;
    let mut watch = following(&engine, first[0].position, ME).await;
    let mut seen = Vec::new();
    while !seen.contains(&"after".to_owned()) {
        seen.extend(texts(&soon("letters come", watch.next()).await.expect("no end").expect("no trouble")));
    }
}

/// Whoever follows is told, whoever appends is told or the log is made anew, and the epoch shows it.
pub(crate) async fn a_log_that_was_deleted_is_another_one(stage: &dyn Stage) {
    let (engine, other) = (opened(stage).await, opened(stage).await);
    let before = open(&engine).await;
    tell(&engine, &letters("old", 10)).await;
    let mut watch = following(&engine, Position(0), ME).await;
    let old = take(&mut watch, Position(0), 10).await;
    stage.delete_log().await;
    let appended = answers(stage, "append", engine.append(&[letter("nowhere")])).await;
    assert!(matches!(appended, Err(Trouble::Gone)), "append: {appended:?}");
    let followed = answers(stage, "follow", engine.follow(Position(0), ME)).await.map(drop);
    assert!(matches!(followed, Err(Trouble::Gone)), "follow: {followed:?}");
    let ended = async {
        loop {
            match watch.next().await {
                Some(Ok(_)) => {}
                ended => return ended,
            }
        }
    };
    let ended = soon("the watch ends", ended).await;
    assert!(matches!(ended, Some(Err(Trouble::Gone))), "the watch: {ended:?}");
    // One makes it again; the others see that it is another one.
    let after = open(&engine).await;
    assert_ne!(after.epoch, before.epoch);
    tell(&engine, &letters("new", 12)).await;
    let followed = answers(stage, "follow", other.follow(old[9].position, OTHER)).await.map(drop);
    assert!(matches!(followed, Err(Trouble::Gone)), "who has not noticed yet: {followed:?}");
    assert_eq!(open(&other).await.epoch, after.epoch);
    assert_eq!(whole_log(&other).await.len(), 12, "the old letters are not in the new log");
}
