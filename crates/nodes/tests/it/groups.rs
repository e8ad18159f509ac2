//! Groups with what they inherit, and where each value came from.

use nodes::{Autoscale, Converge, NodesFile, Packer, diff, explain, parse};
use serde_json::json;

pub(crate) const JSON: &str = include_str!("../../testdata/example/nodes.json");
pub(crate) const TOML: &str = include_str!("../../testdata/example/nodes.toml");

pub(crate) fn nodes(text: &str) -> NodesFile {
    parse("nodes.toml", text).unwrap_or_else(|errors| panic!("{}", report::Failure::from(errors)))
}

/// Returns `path = value  (group:line:column)`, and what it hides behind `<-`.
fn why(nodes: &NodesFile, group: &str) -> Vec<String> {
    let facts = explain(&nodes.group(group).unwrap());
    let line = |fact: nodes::Fact| {
        let at = |origin: &nodes::Origin| {
            format!("{}:{}:{}", origin.group, origin.position.line, origin.position.column)
        };
        let hides: String =
            fact.hides.iter().map(|h| format!(" <- {} ({})", h.value, at(&h.origin))).collect();
        format!("{} = {} ({}){hides}", fact.path, fact.value, at(&fact.origin))
    };
    facts.into_iter().map(line).collect()
}

#[test]
fn the_example_means_the_same_in_both_formats() {
    let (json, toml) = (parse("nodes.json", JSON).unwrap(), parse("nodes.toml", TOML).unwrap());
    let names: Vec<&str> = json.names().collect();
    assert_eq!(names, ["12_04-bee", "12_04-www"]);
    for name in names {
        let (one, other) = (json.group(name).unwrap(), toml.group(name).unwrap());
        let run_list = |group: &nodes::Group| -> Vec<String> {
            group.run_list().iter().map(|step| step.item.to_string()).collect()
        };
        assert_eq!(run_list(&one), run_list(&other));
        for difference in diff(&one, &other) {
            assert_eq!(
                difference.path, "run_list",
                "a bare `service::www` is `recipe[service::www]`"
            );
        }
    }
}

#[test]
fn a_group_inherits_by_the_rules() {
    let bee = parse("nodes.json", JSON).unwrap().group("12_04-bee").unwrap();
    assert_eq!(bee.security_groups().collect::<Vec<_>>(), ["external", "internal", "bee"]);
    assert_eq!(bee.text("region"), "us-east-1");
    assert_eq!(bee.ssh_username(), "ubuntu");
    let limits = Autoscale { timeout_seconds: 120, node_min: 2, node_max: 2 };
    assert_eq!(bee.autoscale(), Some(limits));
    assert_eq!((bee.packer(), bee.converge()), (Packer::On, Converge::Apply));
    assert_eq!(bee.converge_every_ms(), None);
    let www = parse("nodes.json", JSON).unwrap().group("12_04-www").unwrap();
    assert_eq!((www.autoscale(), www.text("instance_type")), (None, "m3.xlarge"));
}

#[test]
fn every_value_says_who_gave_it_and_what_it_hides() {
    let json = parse("nodes.json", JSON).unwrap();
    assert_eq!(
        why(&json, "12_04-bee"),
        [
            "autoscale = {\"node_max\":2,\"node_min\":2,\"timeout\":120} (12_04-bee:18:18) \
             <- false (__base__:3:18)",
            "autoscale.node_max = 2 (12_04-bee:21:19)",
            "autoscale.node_min = 2 (12_04-bee:20:19)",
            "autoscale.timeout = 120 (12_04-bee:19:18)",
            "default_attributes.environment = \"production\" (__base__:10:22)",
            "default_attributes.key = \"value\" (__base__:11:14)",
            "default_attributes.other_key = \"value\" (12_04-bee:26:20)",
            "description = \"12_04-bee-ec2 instance, responsible for worker processes\" \
             (12_04-bee:17:20)",
            "instance_type = \"m1.large\" (12_04-bee:23:22) <- \"m1.large\" (__base__:6:22)",
            "post_run_list[0] = \"recipe[service::collect]\" (__base__:14:23)",
            "region = \"us-east-1\" (__base__:5:15)",
            "run_list[0] = \"recipe[base]\" (__base__:13:18)",
            "run_list[1] = \"recipe[service::api-workers]\" (12_04-bee:28:18)",
            "security_groups[0] = \"external\" (__base__:8:25)",
            "security_groups[1] = \"internal\" (__base__:8:37)",
            "security_groups[2] = \"bee\" (12_04-bee:24:25)",
            "source_ami = \"ami-1ebb2077\" (__base__:7:19)",
            "type = \"amazon-ebs\" (__base__:4:13)",
        ]
    );
}

const NESTED: &str = "
[__base__.default_attributes]
\"a.b\" = 1
nginx = { port = 80, user = \"www\", modules = [\"a\"] }

[web.default_attributes.nginx]
port = 8080
modules = [\"b\"]
";

#[test]
fn dicts_merge_at_level_one_unless_asked_for_more() {
    assert_eq!(
        why(&nodes(NESTED), "web"),
        [
            "default_attributes.\"a.b\" = 1 (__base__:3:9)",
            "default_attributes.nginx = {\"modules\":[\"b\"],\"port\":8080} (web:6:25) \
             <- {\"modules\":[\"a\"],\"port\":80,\"user\":\"www\"} (__base__:4:9)",
            "default_attributes.nginx.modules = [\"b\"] (web:8:11)",
            "default_attributes.nginx.port = 8080 (web:7:8)",
        ]
    );
    assert_eq!(
        why(&nodes(&format!("[settings]\nmerge = \"deep\"\n{NESTED}")), "web"),
        [
            "default_attributes.\"a.b\" = 1 (__base__:5:9)",
            "default_attributes.nginx.modules = [\"b\"] (web:10:11) <- [\"a\"] (__base__:6:46)",
            "default_attributes.nginx.port = 8080 (web:9:8) <- 80 (__base__:6:18)",
            "default_attributes.nginx.user = \"www\" (__base__:6:29)",
        ]
    );
}

#[test]
fn the_image_that_a_group_names_hides_the_other_spelling() {
    let nodes = nodes(
        "__base__.source_ami = \"ami-1\"\n[hard]\n[web]\nsource_image = \"hard\"\n[old]\nsource_ami = \"ami-2\"",
    );
    assert_eq!(
        why(&nodes, "web"),
        ["source_image = \"hard\" (web:4:16) <- \"ami-1\" (__base__:1:23)"]
    );
    assert_eq!(nodes.group("old").unwrap().text("source_ami"), "ami-2");
    assert_eq!(nodes.group("hard").unwrap().text("source_ami"), "ami-1");
}

#[test]
fn stages_have_attributes() {
    let nodes = nodes(
        "[stages.staging]\ndescription = \"try out\"\ndefault_attributes.debug = true\n[web]\n",
    );
    let stage = &nodes.stages["staging"];
    assert_eq!(stage.description, "try out");
    assert_eq!(stage.default_attributes.as_ref().unwrap().to_json(), json!({"debug": true}));
    assert!(stage.override_attributes.is_none());
}

#[test]
fn every_key_has_its_type() {
    let nodes = nodes(
        "[web]\npacker = { ebs_optimized = true }\nconverge = \"plan\"\nconverge_every = \"30m\"\n\
         ssh_username = \"admin\"\n[off]\npacker = false\nconverge = \"off\"\n",
    );
    let web = nodes.group("web").unwrap();
    assert!(matches!(web.packer(), Packer::With(keys) if keys.contains_key("ebs_optimized")));
    assert_eq!((web.converge(), web.converge_every_ms()), (Converge::Plan, Some(1_800_000)));
    assert_eq!(web.ssh_username(), "admin");
    let off = nodes.group("off").unwrap();
    assert_eq!((off.packer(), off.converge()), (Packer::Off, Converge::Off));
}

#[test]
fn two_groups_are_compared() {
    let nodes = nodes(
        "[a]\nregion = \"eu\"\nrun_list = [\"recipe[x]\", \"recipe[y]\", \"recipe[y]\"]\n\
         security_groups = [\"p\", \"q\"]\ndefault_attributes = { n = { port = 1, same = [1] } }\n\
         [b]\nrun_list = [\"recipe[y]\", \"recipe[z]\"]\nsecurity_groups = [\"q\", \"p\"]\n\
         default_attributes = { n = { port = 2, same = [1] } }\n",
    );
    let (a, b) = (nodes.group("a").unwrap(), nodes.group("b").unwrap());
    let found = diff(&a, &b);
    let shown: Vec<(String, String, String)> = found
        .iter()
        .map(|difference| {
            let side = |side: &Option<nodes::Side>| {
                side.as_ref().map_or("-".to_owned(), |side| side.value.to_string())
            };
            (difference.path.clone(), side(&difference.left), side(&difference.right))
        })
        .collect();
    let row =
        |path: &str, left: &str, right: &str| (path.to_owned(), left.to_owned(), right.to_owned());
    assert_eq!(
        shown,
        [
            row("default_attributes.n.port", "1", "2"),
            row("region", "\"eu\"", "-"),
            row("run_list", "\"recipe[x]\"", "-"),
            row("run_list", "\"recipe[y]\"", "-"),
            row("run_list", "-", "\"recipe[z]\""),
            row("security_groups", "[\"p\",\"q\"]", "[\"q\",\"p\"]"),
        ]
    );
    assert_eq!(diff(&b, &a).len(), found.len());
    assert!(diff(&a, &a).is_empty());
}

#[test]
fn a_role_is_found_by_both_spellings() {
    let nodes = nodes("[web]\n[role-web]\n[db]\n");
    assert_eq!(nodes.group_of_role("db"), Some("db"));
    assert_eq!(nodes.group_of_role("role-db"), Some("db"));
    assert_eq!(nodes.group_of_role("role-web"), Some("role-web"), "its file comes first");
    assert_eq!(nodes.group_of_role("role-role-web"), Some("role-web"));
    assert_eq!(nodes.group_of_role("role-"), None);
}

#[test]
fn an_unknown_group_is_told_with_the_one_that_was_meant() {
    let failure = report::Failure::from(nodes("[workers]\n[db]\n").group("worker").unwrap_err());
    assert_eq!(
        failure.to_string(),
        "error: `nodes.toml` has no group `worker`\nhint: did you mean `workers`?"
    );
}
