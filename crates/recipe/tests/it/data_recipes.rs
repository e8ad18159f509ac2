//! Recipes that are lists.

use insta::assert_snapshot;

use crate::scene::Scene;

fn scene(toml: &str) -> Scene {
    Scene::of("package('base')")
        .file("web/recipes/data.toml", toml)
        .file("web/templates/t.j2", "{{ greeting }}")
        .run_list(&["web::default", "web::data"])
}

#[test]
fn a_list_declares_what_a_recipe_would() {
    let scene = scene(
        r#"
[[resource]]
kind = "package"
name = ["nginx", "curl"]
after = "package[base]"

[[resource]]
kind = "system_service"
name = "nginx"
after = ["package[nginx curl]"]
subscribes = { reload = "package[base]", when = "immediately" }

[[resource]]
kind = "template"
name = "/etc/motd"
source = "t.j2"
vars = { greeting = "hello" }
mode = "0644"
retries = 1
notifies = [{ restart = "system_service[nginx]" }]
only_if = [{ exists = "/etc" }, { command = ["test", "-e", "/x"], timeout = "1s", user = "nobody" }]
not_if = { has_user = "x" }

[[resource]]
kind = "anything"
name = "x"
[resource.value]
list = [1, 2.5, true]
"#,
    );
    assert_snapshot!(scene.declared(), @r#"
    install package[base] notifies reload system_service[nginx] Immediate of web::default at web/recipes/default.star:1:1
    install package[nginx curl] names=["nginx", "curl"] after package[base] of web::data at web/recipes/data.toml:2:1
    start system_service[nginx] after package[nginx curl] of web::data at web/recipes/data.toml:7:1
    create template[/etc/motd] attributes=[] content="hello" mode="0644" source="t.j2" only_if Exists("/etc") only_if Command { arguments: ["test", "-e", "/x"], user: Some("nobody"), directory: None, timeout_ms: 1000 } not_if User("x") notifies restart system_service[nginx] Delayed retries=1/0ms of web::data at web/recipes/data.toml:13:1
    keep anything[x] name="x" value={"list": [1, 2.5, true]} of web::data at web/recipes/data.toml:24:1
    "#);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let wrong = |toml: &str| scene(toml).wrong();
    assert_snapshot!(wrong("[[resource]\n"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:1:12
      |
    1 | [[resource]
      |            ^ unclosed array table, expected `]`
    ");
    assert_snapshot!(wrong("[resources]\n"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:1:1
      |
    1 | [resources]
      | ^^^^^^^^^^^ unknown key `resources`; resources are `[[resource]]`
    ");
    assert_snapshot!(wrong("resource = 1\n"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:1:12
      |
    1 | resource = 1
      |            ^ resources are written `[[resource]]`
    ");
    assert_snapshot!(wrong("[[resource]]\nname = 'x'"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:1:1
      |
    1 | [[resource]]
      | ^^^^^^^^^^^^ a resource needs `kind`, a text
    ");
    assert_snapshot!(wrong("[[resource]]\nkind = 'pakage'\nname = 'x'"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:2:1
      |
    2 | kind = 'pakage'
      | ^^^^ no kind `pakage`; did you mean `package`?
    ");
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'"), @r#"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:1:1
      |
    1 | [[resource]]
      | ^^^^^^^^^^^^ `file` needs a name
    hint: write `file("…")`: its path
    "#);
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'\nname = 'x'"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:3:1
      |
    3 | name = 'x'
      | ^^^^ `path` of file must be an absolute path without `..`, not `x`
    ");
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'\nname = '/x'\nmod = '0644'"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:4:1
      |
    4 | mod = '0644'
      | ^^^ file has no `mod`; did you mean `mode`?
    ");
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'\nname = '/x'\nmode = 2026-01-01"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:4:1
      |
    4 | mode = 2026-01-01
      | ^^^^ datetime is nothing that can be kept
    ");
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'\nname = '/x'\nafter = 'package[bas]'"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:4:1
      |
    4 | after = 'package[bas]'
      | ^^^^^ no `package` `bas` was declared yet; did you mean `base`?
    ");
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'\nname = '/x'\nafter = ['nginx']"), @r#"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:4:1
      |
    4 | after = ['nginx']
      | ^^^^^ a resource is named as `"package[nginx]"`
    "#);
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'\nname = '/x'\nnotifies = ['package[base]']"), @r#"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:4:1
      |
    4 | notifies = ['package[base]']
      | ^^^^^^^^ expected `notifies = [{ restart = "system_service[nginx]" }]`
    "#);
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'\nname = '/x'\nnotifies = { restart = 'package[base]' }"), @"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:4:1
      |
    4 | notifies = { restart = 'package[base]' }
      | ^^^^^^^^ package cannot `restart`; it can `install`, `remove`
    ");
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'\nname = '/x'\nonly_if = { exist = '/x' }"), @r#"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:4:1
      |
    4 | only_if = { exist = '/x' }
      | ^^^^^^^ expected a condition: `{ exists = "/x" }`, `installed`, `has_user` or `command`
    "#);
    assert_snapshot!(wrong("[[resource]]\nkind = 'file'\nname = '/x'\nonly_if = { command = 'true' }"), @r#"
    error: failed to evaluate recipe `web::data`
     --> cookbooks/web/recipes/data.toml:4:1
      |
    4 | only_if = { command = 'true' }
      | ^^^^^^^ expected a condition: `{ exists = "/x" }`, `installed`, `has_user` or `command`
    "#);
}
