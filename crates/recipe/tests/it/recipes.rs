//! What recipes declare.

use insta::assert_snapshot;
use resource::{RecipeName, ResourceId};

use crate::scene::Scene;

#[test]
fn a_recipe_declares_in_order() {
    let scene = Scene::of(
        r#"
nginx = package("nginx")
svc = system_service("nginx", after = [nginx])
file("/etc/motd", content = "hello\n", mode = "0644", notifies = restart(svc))
"#,
    );
    assert_snapshot!(scene.declared(), @r#"
    install package[nginx] of web::default at web/recipes/default.star:2:9
    start system_service[nginx] after package[nginx] of web::default at web/recipes/default.star:3:7
    create file[/etc/motd] content="hello\n" mode="0644" notifies restart system_service[nginx] Delayed of web::default at web/recipes/default.star:4:1
    "#);
}

#[test]
fn everything_that_a_resource_can_have() {
    let scene = Scene::of(
        r#"
nginx = package("nginx")
svc = system_service("nginx", after = nginx)
migrate = execute("migrate", command = ["bin/migrate", "--all"], env = {"LANG": "C"}, user = "deploy",
                  retries = 2, retry_delay = "5s", timeout = "1m", ignore_failure = True, sensitive = True,
                  only_if = exists("/srv/shop"),
                  not_if = [command(["test", "-e", "/x"], timeout = "10s", user = "deploy", directory = "/srv"),
                            installed("shop"), has_user("shop")])
file("/x", action = "delete", after = [nginx, svc], mode = None)
file("/y", notifies = [reload(svc), run(migrate, when = "immediately"), notify(svc, "stop")])
system_service("late", subscribes = [restart(svc), notify(nginx, "reload", when = "immediately")])
user("deploy")
package(["git", "curl"])
file("/z", sensitive = False, **{"mode": 0o640})
template("/t", action = "delete")
print("all of it")
"#,
    );
    assert_snapshot!(scene.declared(), @r#"
    install package[nginx] notifies reload system_service[late] Immediate of web::default at web/recipes/default.star:2:9
    start system_service[nginx] after package[nginx] notifies restart system_service[late] Delayed of web::default at web/recipes/default.star:3:7
    run execute[migrate] command=["bin/migrate", "--all"] env={"LANG": "C"} only_if Exists("/srv/shop") not_if Command { arguments: ["test", "-e", "/x"], user: Some("deploy"), directory: Some("/srv"), timeout_ms: 10000 } not_if Installed("shop") not_if User("shop") user=deploy retries=2/5000ms timeout=60000ms ignore_failure sensitive of web::default at web/recipes/default.star:4:11
    delete file[/x] after package[nginx] after system_service[nginx] of web::default at web/recipes/default.star:9:1
    create file[/y] notifies reload system_service[nginx] Delayed notifies run execute[migrate] Immediate notifies stop system_service[nginx] Delayed of web::default at web/recipes/default.star:10:1
    start system_service[late] of web::default at web/recipes/default.star:11:1
    create user[deploy] of web::default at web/recipes/default.star:12:1
    install package[git curl] names=["git", "curl"] of web::default at web/recipes/default.star:13:1
    create file[/z] mode=416 of web::default at web/recipes/default.star:14:1
    delete template[/t] of web::default at web/recipes/default.star:15:1
    "#);
}

#[test]
fn custom_resources_belong_to_the_recipe_that_calls_them() {
    let scene = Scene::of(
        r#"
load("//nginx/lib.star", "site", port = "PORT")
load(":own.star", "greet")
site("shop", port)
greet()
"#,
    )
    .file(
        "nginx/lib.star",
        r#"
load(":deeper.star", "conf")
PORT = 8080
def site(name, port):
    """A site."""
    conf(name, "listen %d;" % port)
"#,
    )
    .file(
        "nginx/deeper.star",
        r#"
def conf(name, text):
    template("/etc/nginx/%s" % name, source = "site.j2", vars = {"text": text})
"#,
    )
    .file("nginx/templates/site.j2", "{{ text }}\n")
    .file("web/own.star", "def greet():\n    file('/etc/greeting', source = 'greeting')\n")
    .file("web/files/greeting", "hello");
    assert_snapshot!(scene.declared(), @r#"
    create template[/etc/nginx/shop] attributes=[] content="listen 8080;\n" source="site.j2" of web::default at nginx/deeper.star:3:5 < nginx/lib.star:6:5 < web/recipes/default.star:4:1
    create file[/etc/greeting] content="hello" of web::default at web/own.star:2:5 < web/recipes/default.star:5:1
    "#);
}

#[test]
fn recipes_are_evaluated_once_in_the_order_of_the_run_list() {
    let scene = Scene::of("include_recipe('base')\nfile('/web')\ninclude_recipe('base::default')")
        .file("base/recipes/default.star", "include_recipe('web')\nfile('/base')")
        .file("base/recipes/late.star", "file('/late', after = declared('file', '/web'))")
        .run_list(&["web::default", "base::default", "base::late", "web::default"]);
    assert_snapshot!(scene.declared(), @"
    create file[/base] of base::default at base/recipes/default.star:2:1
    create file[/web] of web::default at web/recipes/default.star:2:1
    create file[/late] after file[/web] of base::late at base/recipes/late.star:1:1
    ");
    let names: Vec<String> = scene.right().recipes.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["web::default", "base::default", "base::late"]);
}

#[test]
fn what_is_read_is_recorded() {
    let scene = Scene::of(
        r#"
port = attr("nginx.port")
attr("nginx.missing", None)
if fact("os.codename") == "trixie":
    package("nginx", version = "%d" % len(services("shop/api")))
services("shop/none")
url = env_of("shop", "DATABASE_URL")
item = data_bag_item("codebases", "shop")
template("/a", source = "a.j2")
template("/b", source = "b.j2", vars = {"on": True})
"#,
    )
    .file(
        "web/templates/a.j2",
        "{{ node.nginx.port }}{% if node.nginx.absent is defined %}!{% endif %}",
    )
    .file("web/templates/b.j2", "{% for host in node.nginx.hosts %}{{ host }}{% endfor %}{{ on }}");
    let evaluated = scene.right();
    let reads = &evaluated.reads[&RecipeName::new("web", "default")];
    assert_snapshot!(format!("{reads:#?}"), @r#"
    Reads {
        attributes: {
            "nginx.missing",
            "nginx.port",
        },
        facts: {
            "os.codename",
        },
        data_bag_items: {
            (
                "codebases",
                "shop",
            ),
        },
        env: {
            (
                "shop",
                "DATABASE_URL",
            ),
        },
        services: {
            "shop/api",
            "shop/none",
        },
    }
    "#);
    let of = |name: &str| {
        let reads = &evaluated.template_reads[&ResourceId::new("template", name)];
        reads.attributes.iter().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("/a"), "nginx.absent nginx.port");
    assert_eq!(of("/b"), "nginx.hosts");
    assert_eq!(evaluated.all_reads().attributes.len(), 4);
}

#[test]
fn services_are_structs_and_items_are_dicts() {
    let scene = Scene::of(
        r#"
lines = ["server %s:%d;" % (s.address, s.port) for s in services("shop/api")]
file("/a", content = "\n".join(lines))
file("/b", content = data_bag_item("codebases", "shop")["repository"])
file("/c", content = f"{attr('greeting')} {attr('nginx.hosts')[1]} {attr('nginx')['tls']['on']}")
"#,
    );
    assert_snapshot!(scene.declared(), @r#"
    create file[/a] content="server 10.0.0.1:1;\nserver 10.0.0.1:2;" of web::default at web/recipes/default.star:3:1
    create file[/b] content="git@example:shop" of web::default at web/recipes/default.star:4:1
    create file[/c] content="hello b.example True" of web::default at web/recipes/default.star:5:1
    "#);
}

#[test]
fn files_of_the_cookbook_are_text_if_they_are() {
    let scene =
        Scene::of("file('/text', source = 'files/a/text')\nfile('/bytes', source = 'bytes')")
            .file("web/files/a/text", "é\n")
            .file("web/files/bytes", [0xff, 0x00]);
    assert_snapshot!(scene.declared(), @r#"
    create file[/text] content="é\n" of web::default at web/recipes/default.star:1:1
    create file[/bytes] content=2 bytes of web::default at web/recipes/default.star:2:1
    "#);
}

#[test]
fn what_is_printed_is_told_with_its_place() {
    let scene = Scene::of("\ninclude_recipe('web::other'); print('a')\nx = [include_recipe('web::third'), print('b')]")
        .file("web/recipes/other.star", "\n\n\n\n\nprint('c')")
        .file("web/recipes/third.star", "y = 1");
    let notices = scene.right().notices.into_iter();
    let told = notices.map(|notice| format!("{} at {}", notice.text, notice.place.unwrap()));
    assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @"
    c at cookbooks/web/recipes/other.star:6:1
    a at cookbooks/web/recipes/default.star:2:31
    b at cookbooks/web/recipes/default.star:3:1
    ");
}

#[test]
fn what_is_printed_is_kept() {
    let scene = Scene::of("print('hello', 1, [env_of('shop', 'DATABASE_URL')])\nprint('x' * 5000)");
    let notices = scene.right().notices;
    assert_eq!(notices[0].text, "hello 1 [••••••]");
    let place = notices[1].place.as_ref().map(ToString::to_string);
    assert_eq!(place.as_deref(), Some("cookbooks/web/recipes/default.star:2:1"));
    assert_eq!(notices[1].text.len(), recipe::limits::MAX_NOTICE_CHARS);
    let many = Scene::of("for i in range(1002): print(i)").right();
    assert_eq!((many.notices.len(), many.notices_omitted), (1000, 2));
}

#[test]
fn the_same_input_gives_the_same_output() {
    let scene = Scene::of(
        r#"
for name in ["b", "a", "c"]:
    file("/" + name, content = str({"z": 1, "a": hash(name)}), mode = "0644")
template("/t", source = "t.j2", vars = {"v": {"b": 1, "a": [2]}})
"#,
    )
    .file("web/templates/t.j2", "{{ v }}{{ node.nginx }}");
    let first = scene.right();
    for _ in 0..3 {
        assert_eq!(scene.right(), first);
    }
}
