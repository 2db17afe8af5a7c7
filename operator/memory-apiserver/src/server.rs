//! Requests and their answers, watches, and faults.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::answer::{Frames, event, failed, line, only_metadata, respond, selected, status, whole};
use crate::call::{Call, decoded};
use crate::store::{Key, Refused, Store};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Nothing special.
    None,
    /// It is answered with this code, and nothing is done.
    Refuse(u16),
    /// It is done, and answered with this code.
    DoneBut(u16),
    /// It is not done, and never answered.
    Vanish,
    /// It is done, and never answered.
    DoneButVanish,
}

type FaultFn = Box<dyn FnMut(&Call) -> Fault + Send>;

/// What a server is made of.
pub struct Server {
    pub store: Store,
    /// All requests so far.
    pub calls: Vec<Call>,
    fault: FaultFn,
    /// After each change: what controllers of Kubernetes would do.
    pub play: fn(&mut Store),
    /// Lists and watches show nothing after this version; of one resource, or of all.
    frozen: Option<(u64, Option<&'static str>)>,
    /// Watches that were begun before this end.
    epoch: u64,
    /// No request is answered but by 503.
    pub away: bool,
}

/// The server; a cheap handle.
#[derive(Clone)]
pub struct ApiServer {
    server: Arc<Mutex<Server>>,
    changed: Arc<Notify>,
}

impl Server {
    /// The last version that lists and watches of a resource show.
    fn shown(&self, resource: &str) -> u64 {
        match self.frozen {
            Some((version, only)) if only.is_none_or(|only| only == resource) => version,
            _ => u64::MAX,
        }
    }
}

impl ApiServer {
    /// An empty one; `play` is what controllers of Kubernetes do after each change.
    #[must_use]
    pub fn new(play: fn(&mut Store)) -> Self {
        Self {
            server: Arc::new(Mutex::new(Server {
                store: Store::default(),
                calls: Vec::new(),
                fault: Box::new(|_| Fault::None),
                play,
                frozen: None,
                epoch: 0,
                away: false,
            })),
            changed: Arc::new(Notify::new()),
        }
    }

    /// Serves HTTP, until it is dropped.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, axum::Router::new().fallback_service(self)).await
    }

    pub fn lock(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    /// Does something with the objects, as a user or a controller of Kubernetes would.
    pub fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut server = self.lock();
        let result = change(&mut server.store);
        let play = server.play;
        play(&mut server.store);
        drop(server);
        self.changed.notify_waiters();
        result
    }

    /// What happens to requests from now on.
    pub fn on_call(&self, fault: impl FnMut(&Call) -> Fault + Send + 'static) {
        self.lock().fault = Box::new(fault);
    }

    /// Ends all watches; with `forget`, what they have missed is not told to them either.
    pub fn break_watches(&self, forget: bool) {
        let mut server = self.lock();
        server.epoch += 1;
        if forget {
            server.store.oldest = server.store.version;
        }
        drop(server);
        self.changed.notify_waiters();
    }

    /// Lists and watches show nothing that happens after `version`, until `thaw`; of one resource, or of all.
    pub fn freeze(&self, version: u64, only: Option<&'static str>) {
        self.lock().frozen = Some((version, only));
    }

    /// Lists and watches show everything again.
    pub fn thaw(&self) {
        self.lock().frozen = None;
        self.changed.notify_waiters();
    }

    async fn answer<B>(self, request: Request<B>) -> Response<StreamBody<Frames>>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let query: Vec<(String, String)> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        let asked = |name: &str| {
            query
                .iter()
                .find(|(other, _)| other == name)
                .map(|(_, value)| value.clone())
        };
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let metadata = header("accept").contains("PartialObjectMetadata");
        let watching = asked("watch").as_deref() == Some("true");
        let Some(call) = Call::parse(parts.method.as_str(), parts.uri.path(), watching) else {
            return failed(&Refused(404, "NotFound", "no such group".to_owned()));
        };
        let (fault, away) = {
            let mut server = self.lock();
            server.calls.push(call.clone());
            ((server.fault)(&call), server.away)
        };
        match fault {
            _ if away => return failed(&Refused(503, "ServiceUnavailable", "away".to_owned())),
            Fault::Refuse(code) => return failed(&Refused(code, "Injected", "injected".to_owned())),
            Fault::Vanish => return std::future::pending().await,
            _ => {}
        }
        if call.verb == "watch" {
            let from = asked("resourceVersion")
                .and_then(|version| version.parse().ok())
                .unwrap_or(0);
            return self.watch(&call, from, asked("labelSelector"), metadata);
        }
        let answer = self.perform(&call, &body, header("content-type"), &asked);
        match fault {
            Fault::DoneBut(code) => failed(&Refused(code, "Injected", "injected".to_owned())),
            Fault::DoneButVanish => std::future::pending().await,
            _ => match answer {
                Ok(object) => whole(200, &if metadata { only_metadata(&object) } else { object }),
                Err(refused) => failed(&refused),
            },
        }
    }

    fn perform(
        &self,
        call: &Call,
        body: &Bytes,
        content_type: &str,
        asked: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Value, Refused> {
        let key: Key = (
            call.group.clone(),
            call.resource.clone(),
            call.namespace.clone(),
            call.name.clone(),
        );
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let status = call.subresource.as_deref() == Some("status");
        match call.verb {
            "get" => {
                let server = self.lock();
                let found = server.store.get(&key).cloned();
                found.ok_or_else(|| Refused(404, "NotFound", format!("{} not found", call.name)))
            }
            "list" => {
                let server = self.lock();
                let now = server.shown(&call.resource).min(server.store.version);
                // All pages of a list show the same moment.
                let token = asked("continue");
                let page = token.as_deref().and_then(|token| token.split_once(':'));
                let (version, skip) = page.map_or((now, 0), |(version, skip)| {
                    (version.parse().unwrap(), skip.parse().unwrap())
                });
                let limit = asked("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
                let objects = server.store.at(version, |other| call.concerns(other));
                let selector = asked("labelSelector");
                let items: Vec<Value> = objects
                    .into_iter()
                    .filter(|object| selected(object, selector.as_deref()))
                    .skip(skip)
                    .take(limit.saturating_add(1))
                    .collect();
                let mut metadata = json!({ "resourceVersion": version.to_string() });
                let page = items.get(..limit).unwrap_or(&items);
                if page.len() < items.len() {
                    metadata["continue"] = json!(format!("{version}:{}", skip + limit));
                }
                Ok(json!({ "kind": "List", "apiVersion": "v1", "metadata": metadata, "items": page }))
            }
            "create" => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.change(|store| store.create((key.0, key.1, key.2, name), body))
            }
            "patch" if content_type.starts_with("application/apply-patch") => {
                let manager = asked("fieldManager").unwrap();
                self.change(|store| store.apply(key, &body, &manager, status))
            }
            "patch" => self.change(|store| store.merge_patch(key, &body, status)),
            "delete" => {
                let uid = body["preconditions"]["uid"].as_str();
                self.change(|store| store.delete(&key, uid))
            }
            other => panic!("{other}"),
        }
    }

    fn watch(
        &self,
        call: &Call,
        from: u64,
        selector: Option<String>,
        metadata: bool,
    ) -> Response<StreamBody<Frames>> {
        let epoch = self.lock().epoch;
        let state = (self.clone(), call.clone(), from, selector);
        let lines = stream::unfold(state, move |(server, call, mut from, selector)| async move {
            loop {
                let changed = Arc::clone(&server.changed);
                let notified = changed.notified();
                let mut notified = std::pin::pin!(notified);
                notified.as_mut().enable();
                let next = {
                    let locked = server.lock();
                    if locked.epoch != epoch {
                        return None;
                    }
                    if from < locked.store.oldest {
                        let gone = json!({"type": "ERROR", "object": status(&Refused(410, "Expired", "too old".to_owned()))});
                        drop(locked);
                        return Some((line(&gone), (server, call, u64::MAX, selector)));
                    }
                    let upto = locked.shown(&call.resource);
                    let log = &locked.store.log;
                    let next = log.partition_point(|change| change.version <= from);
                    let news = log.get(next..).unwrap_or_default().iter();
                    let mut news = news.take_while(|change| change.version <= upto);
                    news.find_map(|change| {
                        from = change.version;
                        event(&call, change, selector.as_deref(), metadata)
                    })
                };
                match next {
                    Some(event) => return Some((line(&event), (server, call, from, selector))),
                    None => notified.await,
                }
            }
        });
        respond(200, lines.map(|bytes| Ok(http_body::Frame::data(bytes))).boxed())
    }
}

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Debug,
{
    type Response = Response<StreamBody<Frames>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        async move { Ok(server.answer(request).await) }.boxed()
    }
}
