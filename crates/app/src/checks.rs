//! What only shows when a whole app is known: keys that contradict each other, services that
//! claim the same requests, orders that never begin.

use std::collections::BTreeMap;

use report::did_you_mean;

use crate::model::{Listen, Ready};
use crate::problem::Problems;
use crate::service::{Draft, WEB};

/// Keys that mean nothing for a service that does not listen.
const LISTENING_KEYS: &[&str] =
    &["health", "hosts", "path", "hold", "drain", "response_timeout", "body_limit", "in_flight"];

/// Reports what contradicts itself within and between services.
pub(crate) fn services(drafts: &BTreeMap<String, Draft>, problems: &Problems) {
    for (name, draft) in drafts {
        if !draft.broken {
            listening(name, draft, problems);
        }
        order(name, draft, drafts, problems);
    }
    routes(drafts, problems);
    cycles(drafts, problems);
}

fn listening(name: &str, draft: &Draft, problems: &Problems) {
    let service = &draft.service;
    let has = |key: &str| draft.keys.contains_key(key);
    if service.listen == Listen::None {
        for key in LISTENING_KEYS.iter().filter(|key| has(key)) {
            let label = if has("listen") {
                "contradicts `listen = \"none\"`".to_owned()
            } else {
                problems.hint(format!("if `{name}` listens on `$PORT`, write `listen = \"port\"`"));
                format!("`{name}` does not listen, so this has no effect")
            };
            problems.add(draft.place(key), label);
        }
        if service.ready == Ready::Http && has("ready") {
            problems.add(
                draft.place("ready"),
                format!("`{name}` does not listen, so it cannot answer"),
            );
        }
        return;
    }
    if has("overlap") {
        let label = match service.listen {
            Listen::Fixed(_) => "two processes cannot listen on one fixed port".to_owned(),
            _ => format!("is for services that do not listen; `{name}` always overlaps"),
        };
        if service.overlap || !matches!(service.listen, Listen::Fixed(_)) {
            problems.add(draft.place("overlap"), label);
        }
    }
    if matches!(service.listen, Listen::Fixed(_)) && service.processes > 1 {
        problems.add(
            draft.place("processes"),
            "contradicts the fixed port: only one process can listen on it",
        );
    }
    if has("health") && service.ready != Ready::Http {
        problems.add(draft.place("health"), "contradicts `ready`: only `\"http\"` asks for it");
    }
    // Behind `exec` the server takes the shell's place, process id included.
    let shell = service.command.shell.as_deref();
    if let (Listen::Fd, Some(reason)) = (service.listen, shell)
        && !service.command.text.split_whitespace().any(|word| word == "exec")
    {
        problems.add(
            draft.place("listen"),
            format!("the command needs a shell ({reason}), which would get the descriptor instead"),
        );
        problems.hint("write `exec` before the server in the command, or `listen = \"port\"`");
    }
}

fn order(name: &str, draft: &Draft, drafts: &BTreeMap<String, Draft>, problems: &Problems) {
    for (index, other) in draft.service.after.iter().enumerate() {
        let span = draft.after_spans.get(index).cloned().unwrap_or_else(|| draft.place("after"));
        let label = if other == name {
            "a service cannot start after itself".to_owned()
        } else if draft.service.after[..index].contains(other) {
            "named twice".to_owned()
        } else if drafts.contains_key(other) {
            continue;
        } else {
            match did_you_mean(other, drafts.keys().map(String::as_str)) {
                Some(meant) => format!("no such service; did you mean `{meant}`?"),
                None => "no such service in this app".to_owned(),
            }
        };
        problems.add(span, label);
    }
}

fn routes(drafts: &BTreeMap<String, Draft>, problems: &Problems) {
    let mut claimed: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut listening: Vec<(&String, &Draft)> = drafts
        .iter()
        .filter(|(_, draft)| draft.service.listen != Listen::None && !draft.broken)
        .collect();
    // `web` is the one that everybody expects to answer; else the first in the file is right.
    listening.sort_by_key(|(name, draft)| (name.as_str() != WEB, draft.name_span.start));
    for (name, draft) in listening {
        let service = &draft.service;
        let path = service.path.as_str();
        let hosts: Vec<&str> = match service.hosts.as_slice() {
            [] => vec![""],
            hosts => hosts.iter().map(String::as_str).collect(),
        };
        for (index, host) in hosts.into_iter().enumerate() {
            let Some(first) = claimed.get(&(host, path)) else {
                claimed.insert((host, path), name);
                continue;
            };
            let requests = match host {
                "" => format!("`{path}` of any host"),
                host => format!("`{host}{path}`"),
            };
            let span = draft.host_spans.get(index).cloned();
            problems.add(
                span.unwrap_or_else(|| draft.place("path")),
                format!("`{name}` and `{first}` both answer {requests}"),
            );
            problems.hint(format!(
                "give one of them `hosts` or another `path` in skep.toml, or, if `{name}` is not \
                 to be reached, `listen = \"none\"`"
            ));
        }
    }
}

/// Reports each cycle of `after` once, at its first service.
fn cycles(drafts: &BTreeMap<String, Draft>, problems: &Problems) {
    let mut settled: Vec<&str> = Vec::new();
    for start in drafts.keys() {
        let mut path: Vec<&str> = Vec::new();
        let mut pending: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((name, depth)) = pending.pop() {
            while path.len() > depth {
                settled.extend(path.pop());
            }
            if let Some(from) = path.iter().position(|earlier| *earlier == name) {
                // A service after itself is told by `order`.
                if path.len() - from > 1 {
                    let circle: Vec<&str> = path[from..].iter().copied().chain([name]).collect();
                    let first = &drafts[path[from]];
                    problems.add(
                        first.place("after"),
                        format!("would never start: {}", circle.join(" after ")),
                    );
                }
                continue;
            }
            if settled.contains(&name) {
                continue;
            }
            let Some(draft) = drafts.get(name) else { continue };
            path.push(name);
            let next = draft.service.after.iter().map(|other| (other.as_str(), path.len()));
            pending.extend(next.collect::<Vec<_>>());
        }
        settled.extend(path);
    }
}
