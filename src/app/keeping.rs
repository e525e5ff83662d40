//! Tasks that come and go with the config: one for each stream, one for the servers of each app.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::lasting::Lasting;
use super::services::until;
use crate::proxy::{Balancer, Current};
use crate::stream::{Delivery, Stream};

/// Tells tasks that another edition is in force. Clones are handles to the same.
#[derive(Clone, Debug)]
pub(super) struct News(Arc<watch::Sender<()>>);

impl Default for News {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl News {
    pub(super) fn tell(&self) {
        self.0.send_replace(());
    }
}

type Wanted<T> = Box<dyn Fn() -> Vec<(String, Arc<T>)> + Send + Sync>;
type Work<T> = Box<dyn Fn(Arc<T>, ShutdownWatch) -> BoxFuture<'static, ()> + Send + Sync>;

/// Keeps a task running for each thing that is wanted, and for no other. A thing that takes the name of another begins when
/// the other has ended: two never do the work of one.
pub(super) struct Keeping<T> {
    news: News,
    wanted: Wanted<T>,
    work: Work<T>,
}

struct Kept<T> {
    name: String,
    thing: Arc<T>,
    stop: watch::Sender<bool>,
}

#[async_trait]
impl<T: Send + Sync + 'static> BackgroundService for Keeping<T> {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut news = self.news.0.subscribe();
        let mut running: Vec<Kept<T>> = Vec::new();
        let mut tasks: JoinSet<()> = JoinSet::new();
        loop {
            // Before it is looked: what is told meanwhile is looked at again.
            news.mark_unchanged();
            let wanted = (self.wanted)();
            running.retain(|kept| !kept.stop.is_closed());
            for kept in &running {
                if !wanted.iter().any(|(_, thing)| Arc::ptr_eq(thing, &kept.thing)) {
                    kept.stop.send_replace(true);
                }
            }
            for (name, thing) in wanted {
                // Its place is free, or will be: then somebody comes by again.
                if running.iter().all(|kept| kept.name != name) {
                    let (stop, told) = watch::channel(false);
                    // Here until the work is over, whatever becomes of the other: so it is known.
                    let (here, work) = (told.clone(), (self.work)(Arc::clone(&thing), told));
                    tasks.spawn(async move {
                        work.await;
                        drop(here);
                    });
                    running.push(Kept { name, thing, stop });
                }
            }
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                // An error means that the sender is gone, and it is ours.
                _ = news.changed() => {}
                Some(_) = tasks.join_next() => {}
            }
        }
        for kept in &running {
            kept.stop.send_replace(true);
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// The resolving and checking of every app's servers.
pub(super) fn balancers(current: &Current, news: &News) -> Keeping<Balancer> {
    let current = current.clone();
    let wanted = move || {
        let edition = current.load();
        edition.pools.iter().map(|(app, pool)| (app.clone(), Arc::clone(pool.balancer()))).collect()
    };
    Keeping {
        news: news.clone(),
        wanted: Box::new(wanted),
        work: Box::new(|balancer, stop| Box::pin(async move { balancer.start(stop).await })),
    }
}

/// The polling of streams and the watch over them.
pub(super) fn streams(lasting: &Arc<Lasting>, current: &Current, news: &News) -> Keeping<Stream> {
    let (lasting, current) = (Arc::clone(lasting), current.clone());
    let edition = current.clone();
    let wanted = move || {
        let edition = edition.load();
        edition.endpoints.parts().streams.iter().map(|(name, stream)| (name.clone(), Arc::clone(stream))).collect()
    };
    let work = move |stream: Arc<Stream>, stop| -> BoxFuture<'static, ()> {
        let (lasting, current) = (Arc::clone(&lasting), current.clone());
        Box::pin(async move {
            let lead = stream.lead();
            let polls = matches!(stream.delivery(), Delivery::Poll { .. });
            // What is left behind in the middle of a poll was not acknowledged: it comes again.
            let poll = async {
                if polls {
                    stream.poll(lasting.signals()).await;
                }
            };
            let all = async { _ = tokio::join!(lead.keep(), stream.supervise(lasting.watch()), poll) };
            until(stop, all).await;
            if !current.load().endpoints.parts().streams.contains_key(&stream.settings().name) {
                stream.is_no_more(lasting.watch());
            }
            // Another gateway need not wait until it is noticed that this one has ended.
            lead.release().await;
        })
    };
    Keeping { news: news.clone(), wanted: Box::new(wanted), work: Box::new(work) }
}
