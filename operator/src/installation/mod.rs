//! What a person does with an operator: installs it, checks it, reaches the cluster that it is in. The loop knows none of it.

pub mod access;
pub mod check;
pub mod definition;
pub mod install;
pub(crate) mod installed;
pub mod manifests;
pub mod rbac;
