//! Which app a command is about.

use std::path::Path;

use api::{AppDetail, path};
use report::{Failure, did_you_mean};

use crate::client::{Client, target};
use crate::context::Context;
use crate::error::{Result, usage};
use crate::place::Place;

/// An app, and the one service of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The app.
    pub(crate) app: String,
    /// Its service; absent: all of them.
    pub(crate) service: Option<String>,
}

/// Returns the app that is meant: the one that was named, else the one whose directory this is.
/// An app the agent does not know is a failure that names those it does.
pub(crate) async fn choose(
    context: &Context,
    client: &Client,
    place: Option<&Place>,
) -> Result<Chosen> {
    let chosen = match place {
        Some(Place::App(app)) => Chosen { app: app.clone(), service: None },
        Some(Place::Service { app, service }) => {
            Chosen { app: app.clone(), service: Some(service.clone()) }
        }
        Some(Place::Directory(directory)) => {
            let directory = context.resolve(directory);
            Chosen { app: app_of(&directory)?, service: None }
        }
        None => {
            let Some(app) = app_here(context, client).await? else {
                return Err(which_app(&context.directory, &names(client).await?).into());
            };
            Chosen { app, service: None }
        }
    };
    let known = names(client).await?;
    if known.contains(&chosen.app) {
        return Ok(chosen);
    }
    if let Some(Place::App(_) | Place::Service { .. }) = place {
        return Err(unknown_app(context, &chosen.app, &known).into());
    }
    let failure = usage(format!("there is no app `{}`", chosen.app));
    Err(failure.hint("the app of this directory is not deployed: skep up").into())
}

/// Fails if the app has no such service, with the names of those it has.
pub(crate) async fn check_service(client: &Client, chosen: &Chosen) -> Result<()> {
    let Chosen { app, service: Some(service) } = chosen else { return Ok(()) };
    let detail: AppDetail = client.get(&target(path::APP, &[("app", app)], &[])).await?;
    if detail.scale.contains_key(service) {
        return Ok(());
    }
    let failure = usage(format!("{app} has no service `{service}`"));
    let known: Vec<&str> = detail.scale.keys().map(String::as_str).collect();
    Err(match did_you_mean(service, known.iter().copied()) {
        Some(similar) => failure.hint(format!("did you mean `{similar}`?")),
        None if known.is_empty() => failure.hint("it has no release yet: skep deploy"),
        None => failure.hint(format!("its services are: {}", known.join(", "))),
    }
    .into())
}

/// Returns like [`choose`], but an app that only its directory knows is taken as it is: its
/// variables may be set before its first release.
pub(crate) async fn choose_or_new(
    context: &Context,
    client: &Client,
    place: Option<&Place>,
) -> Result<String> {
    match place {
        Some(Place::Directory(directory)) => app_of(&context.resolve(directory)),
        None if declares_app(&context.directory) => app_of(&context.directory),
        _ => Ok(choose(context, client, place).await?.app),
    }
}

/// Returns the app of the current directory, or `None` if it is nobody's.
pub(crate) async fn app_here(context: &Context, client: &Client) -> Result<Option<String>> {
    if declares_app(&context.directory) {
        return app_of(&context.directory).map(Some);
    }
    // Neither file: an app that was detected from its code is known by its directory.
    let Ok(directory) = context.directory.canonicalize() else { return Ok(None) };
    let directory = directory.to_string_lossy();
    let apps = client.apps().await?;
    Ok(apps
        .into_iter()
        .find(|app| app.directory.as_deref() == Some(directory.as_ref()))
        .map(|app| app.name))
}

fn declares_app(directory: &Path) -> bool {
    ["skep.toml", "Procfile"].iter().any(|name| directory.join(name).is_file())
}

fn app_of(directory: &Path) -> Result<String> {
    let directory = directory.canonicalize().map_err(|error| {
        usage(format!("failed to open the directory `{}`", directory.display())).because(&error)
    })?;
    Ok(crate::source::load(&directory)?.name)
}

async fn names(client: &Client) -> Result<Vec<String>> {
    Ok(client.apps().await?.into_iter().map(|app| app.name).collect())
}

fn which_app(directory: &Path, known: &[String]) -> Failure {
    let failure =
        usage(format!("which app? `{}` has no skep.toml and no Procfile", directory.display()));
    match known {
        [] => failure.hint("there is no app yet: skep up DIR"),
        known => failure.hint(format!("name one of: {}", known.join(", "))),
    }
}

/// Says that nobody knows an app that was named, what was probably meant, and which there are.
pub(crate) fn unknown_app(context: &Context, app: &str, known: &[String]) -> Failure {
    let failure = usage(format!("there is no app `{app}`"));
    if let Some(service) = service_here(context, app, known) {
        return failure.hint(format!("did you mean `{service}`?"));
    }
    let failure = match did_you_mean(app, known.iter().map(String::as_str)) {
        Some(similar) => failure.hint(format!("did you mean `{similar}`?")),
        None if app_of(&context.directory).is_ok_and(|own| own == app) => {
            return failure.hint("the app of this directory is not deployed: skep up");
        }
        None if context.resolve(app.as_ref()).is_dir() => {
            failure.hint(format!("did you mean the directory `./{app}`?"))
        }
        None => failure,
    };
    match known {
        [] => failure.hint("there is no app yet: skep up DIR"),
        known => failure.hint(format!("the apps here are: {}", known.join(", "))),
    }
}

/// Returns `APP/SERVICE` where the app of this directory is known and has a service of this name.
fn service_here(context: &Context, service: &str, known: &[String]) -> Option<String> {
    let app = crate::source::load(&context.directory).ok()?;
    let has_it = known.contains(&app.name) && app.services.contains_key(service);
    has_it.then(|| format!("{}/{service}", app.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, Loudness, Output};

    #[test]
    fn an_unknown_app_names_what_is_known() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("crm")).unwrap();
        let context = Context {
            output: Output::new(Format::Text, Loudness::Quiet),
            directory: directory.path().to_owned(),
        };
        let known = ["shop".to_owned(), "blog".to_owned()];
        let hints = |app, known| unknown_app(&context, app, known).hints;
        let all = "the apps here are: shop, blog";
        assert_eq!(hints("shpo", &known), ["did you mean `shop`?", all]);
        assert_eq!(hints("wiki", &known), [all]);
        assert_eq!(hints("crm", &known), ["did you mean the directory `./crm`?", all]);
        assert_eq!(hints("wiki", &[]), ["there is no app yet: skep up DIR"]);
        let file = "app = \"crm\"\n[services.web]\ncommand = \"true\"\n";
        std::fs::write(directory.path().join("skep.toml"), file).unwrap();
        let own = "the app of this directory is not deployed: skep up";
        assert_eq!(hints("crm", &known), [own]);
        assert_eq!(hints("web", &known), [all], "its app is not deployed");
        let known_too = ["blog".to_owned(), "crm".to_owned()];
        assert_eq!(hints("web", &known_too), ["did you mean `crm/web`?"]);
        assert_eq!(
            which_app(Path::new("/tmp/x"), &known).hints,
            ["name one of: shop, blog".to_owned()]
        );
    }
}
