//! Answers: whole objects, lines of a watch, and statuses of what was refused.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use http::Response;
use http_body_util::StreamBody;
use serde_json::{Value, json};

use crate::call::Call;
use crate::store::{Change, Refused};

pub(crate) type Frames = BoxStream<'static, Result<http_body::Frame<Bytes>, Infallible>>;

pub(crate) fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

pub(crate) fn whole(code: u16, value: &Value) -> Response<StreamBody<Frames>> {
    let bytes = Bytes::from(value.to_string());
    respond(code, stream::iter([Ok(http_body::Frame::data(bytes))]).boxed())
}

pub(crate) fn respond(code: u16, frames: Frames) -> Response<StreamBody<Frames>> {
    Response::builder()
        .status(code)
        .body(StreamBody::new(frames))
        .unwrap()
}

pub(crate) fn status(Refused(code, reason, message): &Refused) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message })
}

pub(crate) fn failed(refused: &Refused) -> Response<StreamBody<Frames>> {
    whole(refused.0, &status(refused))
}

pub(crate) fn event(call: &Call, change: &Change, selector: Option<&str>, metadata: bool) -> Option<Value> {
    if !call.concerns(&change.key) {
        return None;
    }
    let seen = |object: &Option<Value>| object.clone().filter(|object| selected(object, selector));
    let (kind, mut object) = match (seen(&change.before), seen(&change.after)) {
        (None, Some(after)) => ("ADDED", after),
        (Some(_), Some(after)) => ("MODIFIED", after),
        (Some(before), None) => ("DELETED", before),
        (None, None) => return None,
    };
    object["metadata"]["resourceVersion"] = json!(change.version.to_string());
    let object = if metadata { only_metadata(&object) } else { object };
    Some(json!({ "type": kind, "object": object }))
}

pub(crate) fn selected(object: &Value, selector: Option<&str>) -> bool {
    selector
        .unwrap_or_default()
        .split(',')
        .filter(|pair| !pair.is_empty())
        .all(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            object["metadata"]["labels"][name] == value
        })
}

pub(crate) fn only_metadata(object: &Value) -> Value {
    if let Value::Array(items) = &object["items"] {
        let items: Vec<Value> = items.iter().map(only_metadata).collect();
        return json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"], "items": items,
        });
    }
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}
