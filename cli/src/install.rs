//! `streampipeline install`: the operator, for people without helm.

use std::time::Duration;

use clap::Args;
use operator::installation::access::connect;
use operator::installation::install::{self, AppliedObject, ApplyEffect};
use operator::installation::manifests::{self, Installation, USUAL_NAMESPACE};
use runtime::exit::Exit;

use crate::error::{CliError, print};

/// Longest time for images to be fetched and the operator to start.
const PATIENCE: Duration = Duration::from_mins(5);

/// Arguments of `install`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --apply the manifests are printed: the namespace, the definition of StreamPipelines, and the operator with its \
rights. Applied again, they change nothing; applied by a newer command, they upgrade the operator. Whoever applies them \
has to be an administrator of the cluster. The Helm chart has more settings.

To remove the operator, and leave pipelines, what runs of them and their definition alone:
  kubectl delete deployment,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding \\
    --namespace streampipeline --selector app.kubernetes.io/name=streampipeline-operator

Examples:
  streampipeline install --apply --wait
  streampipeline install --namespace operators --image registry.example/streampipeline:1 > operator.yaml")]
pub(crate) struct InstallArgs {
    /// Print the manifests; the default
    #[arg(long, conflicts_with = "apply")]
    print: bool,
    /// Apply them to the cluster
    #[arg(long)]
    apply: bool,
    /// The operator's namespace
    #[arg(short, long, value_name = "NAME", default_value = USUAL_NAMESPACE, value_parser = name)]
    namespace: String,
    /// Another image for the operator, and for pipelines that name none
    #[arg(long, value_name = "IMAGE", value_parser = image)]
    image: Option<String>,
    /// The kubeconfig's context. Without it, the present one
    #[arg(long, value_name = "NAME", requires = "apply")]
    context: Option<String>,
    /// Wait until the operator is ready, for at most 5 minutes
    #[arg(long, requires = "apply")]
    wait: bool,
}

/// A label of DNS, as names of namespaces are.
fn name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty()
        || text.len() > 63
        || text.starts_with('-')
        || text.ends_with('-')
        || !text.chars().all(legal)
    {
        return Err("this is not the name of a namespace; use lower-case letters, digits and '-'".to_owned());
    }
    Ok(text.to_owned())
}

fn image(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._/:@-".contains(c);
    if text.is_empty() || !text.chars().all(legal) {
        return Err(
            "this is not the name of an image; write registry/repository:tag or registry/repository@sha256:digest"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

impl InstallArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let Self {
            print: _,
            apply,
            namespace,
            image,
            context,
            wait,
        } = self;
        let failed = |error: &dyn std::error::Error| CliError::Failed(runtime::report::line(error));
        let installation = Installation { namespace, image };
        if !apply {
            return print(&manifests::yaml(&installation).map_err(|error| failed(&error))?);
        }
        let cluster = connect(context.as_deref())
            .await
            .map_err(|error| failed(&error))?;
        let applied = install::apply(&cluster.client, &installation)
            .await
            .map_err(|error| failed(&error))?;
        print(&applied.iter().map(line).collect::<String>())?;
        if wait {
            install::wait(&cluster.client, &installation.namespace, PATIENCE)
                .await
                .map_err(|error| failed(&error))?;
            print("the operator is ready\n")?;
        }
        Ok(Exit::Success)
    }
}

fn line(AppliedObject { kind, name, effect }: &AppliedObject) -> String {
    let outcome = match effect {
        ApplyEffect::Created => "created",
        ApplyEffect::Changed => "changed",
        ApplyEffect::Unchanged => "unchanged",
    };
    format!("{kind} {name} {outcome}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_images_are_checked_before_anything_is_asked() {
        for (good, text) in [
            (true, "team-1"),
            (false, ""),
            (false, "-a"),
            (false, "Team"),
            (false, "a b"),
        ] {
            assert_eq!(name(text).is_ok(), good, "{text}");
        }
        for (good, text) in [
            (true, "r.example:5000/a/b@sha256:00"),
            (false, ""),
            (false, "a b"),
            (false, "a\nb"),
        ] {
            assert_eq!(image(text).is_ok(), good, "{text}");
        }
    }
}
