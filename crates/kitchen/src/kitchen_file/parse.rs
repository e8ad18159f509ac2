//! The file as one typed value, or everything that is wrong with it.

use std::ops::Range;

use report::Failure;
use toml_edit::Document;

use super::reader::{Problems, Section};
use super::{Base, KitchenFile, Network, Planned, Runs, Suite};

/// Longest name of a suite or a platform: both together are a host name, of at most 64 bytes.
const MAX_NAME_BYTES: usize = 31;

/// Most instances; each is a machine.
const MAX_INSTANCES: usize = 200;

const TOP: &[&str] = &["platforms", "suites"];
const PLATFORM: &[&str] = &["base"];
const SUITE: &[&str] =
    &["run_list", "group", "stage", "attributes", "checks", "metadata", "network"];

/// Reads a kitchen file; `file` is its name in messages.
pub fn parse(file: &str, text: &str) -> Result<KitchenFile, Failure> {
    let problems = Problems::new(file, text);
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let message = error.message().trim().replace('\n', "; ");
            problems.add(error.span().unwrap_or(0..0), message);
            return Err(problems.into_failure());
        }
    };
    let top = Section::open("the kitchen file", TOP, document.as_table(), 0..0, &problems);
    let platforms = platforms(&top, &problems);
    let suites = suites(&top, &problems);
    if platforms.is_empty() {
        problems.add(0..0, "there is no platform");
        problems.hint("[platforms.debian12]\n      base = \"debian:bookworm\"");
    }
    if suites.is_empty() {
        problems.add(0..0, "there is no suite");
        problems.hint("[suites.default]\n      run_list = [\"recipe[NAME]\"]");
    }
    let instances = instances(&platforms, &suites, &problems);
    if problems.is_empty() { Ok(KitchenFile { instances }) } else { Err(problems.into_failure()) }
}

type Named<T> = Vec<(String, Range<usize>, T)>;

fn platforms(top: &Section<'_>, problems: &Problems) -> Named<Base> {
    let mut found = Vec::new();
    for (name, span, table) in top.tables("platforms", problems) {
        check_name(&name, &span, problems);
        let section = Section::open("a platform", PLATFORM, table, span.clone(), problems);
        let base = if let Some((text, at)) = section.text("base", problems) {
            base(&text).unwrap_or_else(|| {
                problems.add(at, "no base; it is `host`, `debian:RELEASE` or `tar:PATH`");
                Base::Host
            })
        } else {
            section.missing("base", problems);
            Base::Host
        };
        found.push((name, span, base));
    }
    found
}

fn base(text: &str) -> Option<Base> {
    let plain = |release: &str| {
        !release.is_empty() && release.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    match text.split_once(':') {
        None if text == "host" => Some(Base::Host),
        Some(("debian", release)) if plain(release) => Some(Base::Debian(release.to_owned())),
        Some(("tar", path)) if !path.is_empty() => Some(Base::Tar(path.to_owned())),
        _ => None,
    }
}

fn suites(top: &Section<'_>, problems: &Problems) -> Named<Suite> {
    let mut found = Vec::new();
    for (name, span, table) in top.tables("suites", problems) {
        check_name(&name, &span, problems);
        let section = Section::open("a suite", SUITE, table, span.clone(), problems);
        found.push((name, span, suite(&section, problems)));
    }
    found
}

fn suite(section: &Section<'_>, problems: &Problems) -> Suite {
    let run_list = section.texts("run_list", problems);
    let group = section.text("group", problems);
    let runs = match (run_list, group) {
        (Some(_), Some((_, at))) => {
            problems.add(at, "a suite has either a `run_list` or a `group`");
            Runs::default()
        }
        (Some(items), None) => Runs::RunList(items),
        (None, Some((group, _))) => Runs::Group(group),
        (None, None) => {
            section.missing("run_list` or `group", problems);
            Runs::default()
        }
    };
    let network = match section.text("network", problems) {
        None => Network::default(),
        Some((text, at)) => match text.as_str() {
            "outside" => Network::Outside,
            "none" => Network::None,
            _ => {
                problems.add(at, "expected `outside` or `none`");
                Network::None
            }
        },
    };
    let checks = section.texts("checks", problems);
    for check in checks.iter().flatten() {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if check.is_empty() || !check.bytes().all(plain) {
            problems.add(section.span(), format!("`{check}` is no name of a file in `checks/`"));
        }
    }
    Suite {
        runs,
        stage: section.text("stage", problems).map(|(stage, _)| stage),
        attributes: section.values("attributes", problems),
        checks,
        metadata: section.text_map("metadata", problems),
        network,
    }
}

fn check_name(name: &str, span: &Range<usize>, problems: &Problems) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if !bytes.iter().all(|b| plain(*b)) || !ends(bytes.first()) || !ends(bytes.last()) {
        problems.add(
            span.clone(),
            "a name has letters, digits, `-` and `.`, outside only the first two",
        );
    } else if name.len() > MAX_NAME_BYTES {
        problems.add(span.clone(), format!("longer than {MAX_NAME_BYTES} bytes"));
    }
}

fn instances(platforms: &Named<Base>, suites: &Named<Suite>, problems: &Problems) -> Vec<Planned> {
    let mut instances: Vec<Planned> = Vec::new();
    for (suite_name, span, suite) in suites {
        for (platform, _, base) in platforms {
            let name = format!("{suite_name}-{platform}").replace('.', "").to_lowercase();
            if let Some(other) = instances.iter().find(|other| other.name == name) {
                let (suite, platform) = (&other.suite_name, &other.platform);
                let label = format!("`{name}` is also `{suite}` on `{platform}`");
                problems.add(span.clone(), label);
                continue;
            }
            instances.push(Planned {
                name,
                suite: suite.clone(),
                suite_name: suite_name.clone(),
                platform: platform.clone(),
                base: base.clone(),
            });
        }
    }
    if instances.len() > MAX_INSTANCES {
        problems.add(0..0, format!("more than {MAX_INSTANCES} instances"));
    }
    instances
}

#[cfg(test)]
mod tests {
    use super::super::KITCHEN_FILE;
    use super::*;
    use report::Kind;

    const GOOD: &str = r#"
[platforms."debian-12.7"]
base = "debian:bookworm"
[platforms.here]
base = "host"

[suites.default]
run_list = ["recipe[thena-infra]"]
attributes = { thena = { port = 8080, on = [true, 1.5] } }
metadata = { "meta-data/instance-id" = "i-1" }
network = "none"
[suites.web]
group = "web"
stage = "staging"
checks = ["web"]
"#;

    #[test]
    fn every_suite_is_on_every_platform() {
        let file = parse(KITCHEN_FILE, GOOD).unwrap();
        let names: Vec<_> = file.instances.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["default-debian-127", "default-here", "web-debian-127", "web-here"]);
        let default = &file.instances[0];
        assert_eq!(default.base, Base::Debian("bookworm".into()));
        assert_eq!(default.suite.network, Network::None);
        assert_eq!(default.suite.attributes["thena"]["on"][1], 1.5);
        assert_eq!(file.instances[3].suite.runs, Runs::Group("web".into()));
        assert_eq!(file.chosen(Some("web")).unwrap().len(), 2);
        assert_eq!(file.chosen(Some("default-here")).unwrap().len(), 1);
        assert_eq!(file.chosen(None).unwrap().len(), 4);
        let failure = file.chosen(Some("defualt-here")).unwrap_err();
        assert_eq!(failure.hints, ["did you mean `default-here`?"]);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "[platforms.a]\nbse = \"host\"\n[platforms._]\nbase = \"suse\"\n\
                    [suites.x]\nrun_list = [1]\ngroup = \"g\"\nnetwork = \"lan\"\n[suites.y]\nstage = 3\n";
        let failure = parse(KITCHEN_FILE, text).unwrap_err();
        let told: Vec<String> = failure
            .excerpts
            .iter()
            .map(|excerpt| format!("{}: {}", excerpt.position.line, excerpt.label))
            .collect();
        assert_eq!(
            told,
            [
                "2: unknown key in a platform; did you mean `base`?",
                "1: `base` is missing",
                "3: a name has letters, digits, `-` and `.`, outside only the first two",
                "4: no base; it is `host`, `debian:RELEASE` or `tar:PATH`",
                "6: expected text",
                "7: a suite has either a `run_list` or a `group`",
                "8: expected `outside` or `none`",
                "9: `run_list` or `group` is missing",
                "10: expected text",
            ]
        );
        assert_eq!(failure.kind, Kind::Usage);
        assert!(parse(KITCHEN_FILE, "").is_err());
        assert!(parse(KITCHEN_FILE, "a = [").is_err());
    }

    #[test]
    fn two_instances_of_one_name_are_refused() {
        let text = "[platforms.\"a.b\"]\nbase = \"host\"\n[platforms.ab]\nbase = \"host\"\n\
                    [suites.s]\ngroup = \"g\"\n";
        let failure = parse(KITCHEN_FILE, text).unwrap_err();
        assert_eq!(failure.excerpts[0].label, "`s-ab` is also `s` on `a.b`");
    }
}
