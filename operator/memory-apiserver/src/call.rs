//! Requests, as RBAC names them.

use crate::store::Key;

#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// As RBAC names it.
    pub verb: &'static str,
    /// The API group; empty for the core.
    pub group: String,
    pub resource: String,
    /// `status` and the like.
    pub subresource: Option<String>,
    /// Empty: all.
    pub namespace: String,
    /// Empty: not about one.
    pub name: String,
}

impl Call {
    /// Whether it writes something that matters: neither an event nor a lease.
    #[must_use]
    pub fn writes(&self) -> bool {
        matches!(self.verb, "patch" | "create" | "delete")
            && self.resource != "events"
            && self.resource != "leases"
    }

    /// The resource, with its subresource.
    #[must_use]
    pub fn full_resource(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource),
            None => self.resource.clone(),
        }
    }

    /// The call of an HTTP request; `None` if there is no such group or resource.
    pub(crate) fn parse(method: &str, path: &str, watching: bool) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let group = match parts.next()? {
            "api" => String::new(),
            _ => parts.next()?.to_owned(),
        };
        parts.next()?;
        let mut next = parts.next()?;
        let mut namespace = String::new();
        if next == "namespaces" {
            parts.next()?.clone_into(&mut namespace);
            next = parts.next()?;
        }
        RESOURCES.iter().find(|plural| **plural == next)?;
        let name = parts.next().unwrap_or_default().to_owned();
        let verb = match (method, watching, name.is_empty()) {
            ("GET", true, _) => "watch",
            ("GET", false, true) => "list",
            ("GET", false, false) => "get",
            ("POST", ..) => "create",
            ("PATCH", ..) => "patch",
            ("DELETE", ..) => "delete",
            other => panic!("{other:?}"),
        };
        Some(Self {
            verb,
            group,
            resource: next.to_owned(),
            subresource: parts.next().map(str::to_owned),
            namespace,
            name,
        })
    }

    /// Whether a list or watch has the object.
    pub(crate) fn concerns(&self, key: &Key) -> bool {
        key.0 == self.group
            && key.1 == self.resource
            && (self.namespace.is_empty() || key.2 == self.namespace)
    }
}

/// What there is, by plural.
const RESOURCES: [&str; 13] = [
    "configmaps",
    "cronjobs",
    "deployments",
    "events",
    "jobs",
    "leases",
    "networkpolicies",
    "poddisruptionbudgets",
    "pods",
    "secrets",
    "serviceaccounts",
    "services",
    "streampipelines",
];

/// Of a query: `%2C` is a comma, `+` a blank.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}
