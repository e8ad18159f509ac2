//! Every mistake, as it is told.

use insta::assert_snapshot;

use crate::scene::Scene;

fn wrong(recipe: &str) -> String {
    Scene::of(recipe).wrong()
}

#[test]
fn of_the_language() {
    assert_snapshot!(wrong("x = (1,\n  2"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:4
      |
    2 |   2
      |    ^ unexpected new line, expected symbol ')'
    ");
    assert_snapshot!(wrong("def f(:\n"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:7
      |
    1 | def f(:
      |       ^ unexpected symbol ':', expected identifier
    ");
    assert_snapshot!(wrong("pakage('nginx')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | pakage('nginx')
      | ^^^^^^ variable `pakage` not found, did you mean `package`?
    ");
    assert_snapshot!(wrong("x = 1 + 'a'"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:5
      |
    1 | x = 1 + 'a'
      |     ^^^^^^^ operation `+` not supported for types `int` and `string`
    ");
    assert_snapshot!(wrong("def f(a):\n    return a\nf()"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:3:1
      |
    3 | f()
      | ^^^ missing parameter `a` for call to `f`
    ");
    assert_snapshot!(wrong("def f(a):\n    return a.missing\n\ndef g(a):\n    return f(a)\n\ng('x')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:12
      |
    2 |     return a.missing
      |            ^^^^^^^^^ object of type `string` has no attribute `missing`
     --> cookbooks/web/recipes/default.star:5:12
      |
    5 |     return f(a)
      |            ^^^^ `f` is called here
     --> cookbooks/web/recipes/default.star:7:1
      |
    7 | g('x')
      | ^^^^^^ `g` is called here
    ");
    assert_snapshot!(wrong("'x'.uper()"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | 'x'.uper()
      | ^^^^^^^^^^ object of type `string` has no attribute `uper`, did you mean `upper`?
    ");
    assert_snapshot!(wrong("fail('not on', 'Debian')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | fail('not on', 'Debian')
      | ^^^^^^^^^^^^^^^^^^^^^^^^ not on Debian
    ");
    assert_snapshot!(wrong("x = 2\nx *= 3"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:1
      |
    2 | x *= 3
      | ^^^^^^ `*=` is not known here; write `x = x * …`
    ");
    assert_snapshot!(wrong("import os"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | import os
      | ^^^^^^ cannot use reserved keyword `import`
    ");
    assert_snapshot!(wrong("[1][3]"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | [1][3]
      | ^^^^^^ index `3` is out of bound
    ");
    assert_snapshot!(wrong("{'a': 1}['b']"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | {'a': 1}['b']
      | ^^^^^^^^^^^^^ key `"b"` was not found
    "#);
    assert_snapshot!(wrong("range(1, 2, 0)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:13
      |
    1 | range(1, 2, 0)
      |             ^ the step of `range` cannot be 0
    ");
    assert_snapshot!(wrong("while True:\n    pass"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | while True:
      | ^^^^^ cannot use reserved keyword `while`
    ");
}

#[test]
fn of_declarations() {
    assert_snapshot!(wrong("file('/etc/motd', content = 'x',\n     mod = '0644')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:6
      |
    2 |      mod = '0644')
      |      ^^^^^^^^^^^^ file has no `mod`; did you mean `mode`?
    ");
    assert_snapshot!(wrong("file('/etc/motd', mode = '99')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:19
      |
    1 | file('/etc/motd', mode = '99')
      |                   ^^^^^^^^^^^ `mode` of file must be permissions such as `"0644"`, not `99`
    "#);
    assert_snapshot!(wrong("file('etc/motd')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | file('etc/motd')
      |      ^^^^^^^^^^ `path` of file must be an absolute path without `..`, not `etc/motd`
    ");
    assert_snapshot!(wrong("file()"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | file()
      | ^^^^^^ `file` needs a name
    hint: write `file("…")`: its path
    "#);
    assert_snapshot!(wrong("file(1)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | file(1)
      |      ^ the name of a `file` is text, not a whole number
    ");
    assert_snapshot!(wrong("file('/a', '0644')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', '0644')
      |            ^^^^^^ `file` takes one name; everything else is named
    hint: write `mode = "0644"` for what is to be its mode
    "#);
    assert_snapshot!(wrong("file('/a', action = 'crate')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', action = 'crate')
      |            ^^^^^^^^^^^^^^^^ file cannot `crate`; it can `create`, `delete`
    ");
    assert_snapshot!(wrong("execute('x', command = ['a', 1])"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:14
      |
    1 | execute('x', command = ['a', 1])
      |              ^^^^^^^^^^^^^^^^^^ `command` of execute must be a list, each text that is not empty, not `1`
    ");
    assert_snapshot!(wrong("package('nginx', version = env_of('shop', 'DATABASE_URL'))"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:18
      |
    1 | package('nginx', version = env_of('shop', 'DATABASE_URL'))
      |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `version` of package cannot be a secret: it is shown in plans and lists
    ");
    assert_snapshot!(wrong("file(env_of('shop', 'DATABASE_URL'))"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | file(env_of('shop', 'DATABASE_URL'))
      |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the name of a `file` is text, not a secret: plans show it
    ");
    assert_snapshot!(wrong("file('/a', content = lambda: 1)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', content = lambda: 1)
      |            ^^^^^^^^^^^^^^^^^^^ a function is nothing that can be kept
    ");
    assert_snapshot!(wrong("file('/a', content = {1: 2})"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', content = {1: 2})
      |            ^^^^^^^^^^^^^^^^ keys must be text, not a number
    ");
    assert_snapshot!(wrong("anything('a', value = 1 << 64)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:15
      |
    1 | anything('a', value = 1 << 64)
      |               ^^^^^^^^^^^^^^^ 18446744073709551616 does not fit into 64 bits
    ");
    assert_snapshot!(wrong("anything('a', value = float('nan'))"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:15
      |
    1 | anything('a', value = float('nan'))
      |               ^^^^^^^^^^^^^^^^^^^^ NaN is no number that can be kept
    ");
    assert_snapshot!(wrong("file('/a', content = package('nginx'))"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', content = package('nginx'))
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^ package[nginx] is a resource, and this is no place for one
    hint: `after`, `notifies` and `subscribes` take resources
    ");
    assert_snapshot!(wrong("file('/a', user = 1)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', user = 1)
      |            ^^^^^^^^ `user` must be the name of a user, not `1`
    ");
    assert_snapshot!(wrong("file('/a', retries = -1)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', retries = -1)
      |            ^^^^^^^^^^^^ `retries` must be a whole number from 0, not `-1`
    ");
    assert_snapshot!(wrong("file('/a', retry_delay = 5)"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', retry_delay = 5)
      |            ^^^^^^^^^^^^^^^ `retry_delay`: `5` has no unit; write `"5s"`
    "#);
    assert_snapshot!(wrong("file('/a', timeout = 'long')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', timeout = 'long')
      |            ^^^^^^^^^^^^^^^^ `timeout`: not a duration; write for example `"30s"`, `"1m30s"` or `"500ms"`
    "#);
    assert_snapshot!(wrong("file('/a', sensitive = 1)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', sensitive = 1)
      |            ^^^^^^^^^^^^^ `sensitive` must be `True` or `False`, not `1`
    ");
    assert_snapshot!(wrong("package([])"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:9
      |
    1 | package([])
      |         ^^ the name of a `package` is text, not an empty list
    ");
    assert_snapshot!(wrong("file('/a\\nb')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | file('/a\nb')
      |      ^^^^^^^ the name of a `file` is text, not empty, and without line ends
    "#);
}

#[test]
fn of_references() {
    assert_snapshot!(wrong("file('/a', after = 'nginx')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', after = 'nginx')
      |            ^^^^^^^^^^^^^^^ `after` takes resources, not text
    hint: a resource is what its function returns: `nginx = package("nginx")`, then `after = [nginx]`
    "#);
    assert_snapshot!(wrong("svc = system_service('x')\nfile('/a', notifies = svc)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:12
      |
    2 | file('/a', notifies = svc)
      |            ^^^^^^^^^^^^^^ `notifies` takes notifications, not a resource
    hint: say what is to happen: `notifies = restart(svc)`
    ");
    assert_snapshot!(wrong("file('/a', notifies = restart('nginx'))"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:31
      |
    1 | file('/a', notifies = restart('nginx'))
      |                               ^^^^^^^ `restart` takes a resource, not text
    hint: a resource is what its function returns: `nginx = package("nginx")`
    "#);
    assert_snapshot!(wrong("p = package('nginx')\nfile('/a', notifies = restart(p))"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:12
      |
    2 | file('/a', notifies = restart(p))
      |            ^^^^^^^^^^^^^^^^^^^^^ package cannot `restart`; it can `install`, `remove`
    ");
    assert_snapshot!(wrong("s = system_service('x')\nfile('/a', notifies = restart(s, when = 'now'))"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:34
      |
    2 | file('/a', notifies = restart(s, when = 'now'))
      |                                  ^^^^^^^^^^^^ `when` is `"delayed"` or `"immediately"`, not `"now"`
    "#);
    assert_snapshot!(wrong("s = system_service('x')\nfile('/a', subscribes = restart(s))"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:12
      |
    2 | file('/a', subscribes = restart(s))
      |            ^^^^^^^^^^^^^^^^^^^^^^^ file cannot `restart`; it can `create`, `delete`
    ");
    assert_snapshot!(wrong("file('/a', only_if = True)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', only_if = True)
      |            ^^^^^^^^^^^^^^ `only_if` takes conditions, not True or False
    hint: conditions are `exists(path)`, `installed(package)`, `has_user(name)` and `command([…])`; what is known before the machine is looked at is an `if`
    ");
    assert_snapshot!(wrong("file('/a', only_if = exists('x'))"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:29
      |
    1 | file('/a', only_if = exists('x'))
      |                             ^^^ the path must be an absolute path without `..`, not `x`
    ");
    assert_snapshot!(wrong("file('/a', only_if = command('true'))"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:30
      |
    1 | file('/a', only_if = command('true'))
      |                              ^^^^^^ a command is a list of text, not text
    hint: write `command(["test", "-e", "/x"])`
    "#);
    assert_snapshot!(wrong("file('/a', only_if = command(['true'], timeout = '1'))"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:40
      |
    1 | file('/a', only_if = command(['true'], timeout = '1'))
      |                                        ^^^^^^^^^^^^^ `timeout`: `1` has no unit; write `"1s"`
    "#);
    assert_snapshot!(wrong("package('nginx')\ndeclared('package', 'nginxx')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:21
      |
    2 | declared('package', 'nginxx')
      |                     ^^^^^^^^ no `package` `nginxx` was declared yet; did you mean `nginx`?
    ");
}

#[test]
fn of_lookups() {
    assert_snapshot!(wrong("attr('nginx.prot')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | attr('nginx.prot')
      |      ^^^^^^^^^^^^ no attribute `nginx.prot`; did you mean `nginx.port`?
    hint: `attr("nginx.prot", default)` if it may be missing
    "#);
    assert_snapshot!(wrong("attr('ngnix.port')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | attr('ngnix.port')
      |      ^^^^^^^^^^^^ no attribute `ngnix`; did you mean `nginx`?
    hint: `attr("ngnix.port", default)` if it may be missing
    "#);
    assert_snapshot!(wrong("attr('nginx.port.x')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | attr('nginx.port.x')
      |      ^^^^^^^^^^^^^^ no attribute `nginx.port.x`: `nginx.port` is a whole number
    hint: `attr("nginx.port.x", default)` if it may be missing
    "#);
    assert_snapshot!(wrong("attr('zzz')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | attr('zzz')
      |      ^^^^^ no attribute `zzz`
    hint: there is greeting, nginx
    hint: `attr("zzz", default)` if it may be missing
    "#);
    assert_snapshot!(wrong("attr('')"), @r#"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | attr('')
      |      ^^ no attribute ``
    hint: there is greeting, nginx
    hint: `attr("", default)` if it may be missing
    "#);
    assert_snapshot!(wrong("fact('os.codenam')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:6
      |
    1 | fact('os.codenam')
      |      ^^^^^^^^^^^^ no fact `os.codenam`; did you mean `os.codename`?
    ");
    assert_snapshot!(wrong("data_bag_item('codebase', 'shop')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:15
      |
    1 | data_bag_item('codebase', 'shop')
      |               ^^^^^^^^^^ no data bag `codebase`; did you mean `codebases`?
    ");
    assert_snapshot!(wrong("data_bag_item('codebases', 'shpo')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:28
      |
    1 | data_bag_item('codebases', 'shpo')
      |                            ^^^^^^ no item `shpo` in data bag `codebases`; did you mean `shop`?
    ");
    assert_snapshot!(wrong("data_bag_item('codebases', 'sealed')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | data_bag_item('codebases', 'sealed')
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ failed to decrypt `data_bags/codebases/sealed.json`: no key fits
    hint: skep data:keys
    ");
    assert_snapshot!(wrong("env_of('shop', 'DATABASE')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:16
      |
    1 | env_of('shop', 'DATABASE')
      |                ^^^^^^^^^^ app `shop` has no variable `DATABASE`
    hint: set it: skep env:set shop DATABASE
    ");
    assert_snapshot!(wrong("services('shop')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:10
      |
    1 | services('shop')
      |          ^^^^^^ `shop` is no service; write `app/service`
    ");
}

#[test]
fn of_recipes_and_libraries() {
    assert_snapshot!(wrong("include_recipe('nginx')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | include_recipe('nginx')
      | ^^^^^^^^^^^^^^^^^^^^^^^ no cookbook `nginx`
    hint: there is web
    ");
    assert_snapshot!(wrong("include_recipe('web::defualt')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | include_recipe('web::defualt')
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ no recipe `web::defualt`; did you mean `web::default`?
    ");
    assert_snapshot!(wrong("include_recipe('recipe[web]')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:16
      |
    1 | include_recipe('recipe[web]')
      |                ^^^^^^^^^^^^^ `recipe[web]` is no recipe; write `cookbook::name`
    ");
    assert_snapshot!(wrong("include_recipe('unreachable')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | include_recipe('unreachable')
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ failed to read cookbook `unreachable`: the disk is gone
    hint: skep doctor
    ");
    assert_snapshot!(Scene::of("").run_list(&["web::other"]).wrong(), @"
    error: failed to evaluate recipe `web::other`
      caused by: no recipe `web::other`; did you mean `web::default`?
    ");
    assert_snapshot!(Scene::of("").run_list(&["wbe::default"]).wrong(), @"
    error: failed to evaluate recipe `wbe::default`
      caused by: no cookbook `wbe`
    hint: there is web
    ");
    let including = Scene::of("\ninclude_recipe('base')")
        .file("base/recipes/default.star", "x = 1\nfile('/a', mood = 1)");
    assert_snapshot!(including.wrong(), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/base/recipes/default.star:2:12
      |
    2 | file('/a', mood = 1)
      |            ^^^^^^^^ file has no `mood`; did you mean `mode`?
     --> cookbooks/web/recipes/default.star:2:1
      |
    2 | include_recipe('base')
      | ^^^^^^^^^^^^^^^^^^^^^^ included here
    ");
    assert_snapshot!(wrong("load('lib.star', 'x')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | load('lib.star', 'x')
      | ^^^^^^^^^^^^^^^^^^^^^ `lib.star` is no file that can be loaded
    hint: write `//cookbook/lib.star`, or `:lib.star` for a file of the own cookbook
    ");
    assert_snapshot!(wrong("load(':../lib.star', 'x')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | load(':../lib.star', 'x')
      | ^^^^^^^^^^^^^^^^^^^^^^^^^ `:../lib.star` is no file that can be loaded
    hint: write `//cookbook/lib.star`, or `:lib.star` for a file of the own cookbook
    ");
    assert_snapshot!(wrong("load('//nginx/lib.star', 'x')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | load('//nginx/lib.star', 'x')
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ no cookbook `nginx`
    hint: there is web
    ");
    assert_snapshot!(wrong("load(':lib.star', 'x')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | load(':lib.star', 'x')
      | ^^^^^^^^^^^^^^^^^^^^^^ no file `lib.star` in cookbook `web`
    hint: there is recipes/default.star
    ");
    let with =
        |library: &str, recipe: &str| Scene::of(recipe).file("web/lib.star", library).wrong();
    assert_snapshot!(with("def site(): pass", "load(':lib.star', 'sit')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:19
      |
    1 | load(':lib.star', 'sit')
      |                   ^^^^^ module has no symbol `sit`, did you mean `site`?
    ");
    assert_snapshot!(with("def f(): pass\nfile('/a')", "load(':lib.star', 'f')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/lib.star:2:1
      |
    2 | file('/a')
      | ^^^^^^^^^^ a file that is loaded can define, and not declare or read
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | load(':lib.star', 'f')
      | ^^^^^^^^^^^^^^^^^^^^^^ loaded here
    hint: put it into a function, which recipes call
    ");
    assert_snapshot!(with("PORT = attr('nginx.port')", "load(':lib.star', 'PORT')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/lib.star:1:8
      |
    1 | PORT = attr('nginx.port')
      |        ^^^^^^^^^^^^^^^^^^ a file that is loaded can define, and not declare or read
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | load(':lib.star', 'PORT')
      | ^^^^^^^^^^^^^^^^^^^^^^^^^ loaded here
    hint: put it into a function, which recipes call
    ");
    assert_snapshot!(with("load(':lib.star', 'x')\ny = 1", "load(':lib.star', 'y')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/lib.star:1:1
      |
    1 | load(':lib.star', 'x')
      | ^^^^^^^^^^^^^^^^^^^^^^ files load each other in a circle
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | load(':lib.star', 'y')
      | ^^^^^^^^^^^^^^^^^^^^^^ loaded here
    ");
    assert_snapshot!(with("def site(name):\n    file(name, mood = 1)", "load(':lib.star', 'site')\nsite('/a')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/lib.star:2:16
      |
    2 |     file(name, mood = 1)
      |                ^^^^^^^^ file has no `mood`; did you mean `mode`?
     --> cookbooks/web/recipes/default.star:2:1
      |
    2 | site('/a')
      | ^^^^^^^^^^ `site` is called here
    ");
    assert_snapshot!(with("x = [", "load(':lib.star', 'x')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/lib.star:1:6
      |
    1 | x = [
      |      ^ unexpected new line, expected expression
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | load(':lib.star', 'x')
      | ^^^^^^^^^^^^^^^^^^^^^^ loaded here
    ");
    let binary = Scene::of("").file("web/recipes/default.star", [0xff]);
    assert_snapshot!(binary.wrong(), @"
    error: failed to evaluate recipe `web::default`
      caused by: `cookbooks/web/recipes/default.star` is not UTF-8
    ");
}

#[test]
fn of_templates_and_files() {
    let with = |template: &str| {
        Scene::of("\ntemplate('/a', source = 't.j2', vars = {'n': 1, 'list': []})")
            .file("web/templates/t.j2", template)
            .file("web/templates/part.j2", "one\n{{ missing }}")
            .wrong()
    };
    assert_snapshot!(with("a\n{{ node.nginx.prot }}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:2:8
      |
    2 | {{ node.nginx.prot }}
      |        ^^^^^^^^^^^ `node.nginx.prot` is undefined
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    hint: no attribute `nginx.prot`; did you mean `nginx.port`?
    ");
    assert_snapshot!(with("{{ undefined_thing }}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:4
      |
    1 | {{ undefined_thing }}
      |    ^^^^^^^^^^^^^^^ `undefined_thing` is undefined
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    hint: templates see `vars` by their names, and attributes as `node.…`
    ");
    assert_snapshot!(with("{% if n %}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:9
      |
    1 | {% if n %}
      |         ^^ syntax error: unexpected end of input, expected end of block
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    ");
    assert_snapshot!(with("{{ n | nosuch }}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:8
      |
    1 | {{ n | nosuch }}
      |        ^^^^^^ filter nosuch is unknown
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    ");
    assert_snapshot!(with("{{ list[3].x }}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:8
      |
    1 | {{ list[3].x }}
      |        ^^^^^ `list[3]` is undefined
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    ");
    assert_snapshot!(with("x {% include 'part.j2' %}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/part.j2:2:4
      |
    2 | {{ missing }}
      |    ^^^^^^^ `missing` is undefined
     --> cookbooks/web/templates/t.j2:1:6
      |
    1 | x {% include 'part.j2' %}
      |      ^^^^^^^^^^^^^^^^^ included here
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    hint: templates see `vars` by their names, and attributes as `node.…`
    ");
    assert_snapshot!(with("x {% include 'none.j2' %}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:6
      |
    1 | x {% include 'none.j2' %}
      |      ^^^^^^^^^^^^^^^^^ tried to include non-existing template 'none.j2'
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    ");
    assert_snapshot!(with("x {% include '../secrets' %}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:6
      |
    1 | x {% include '../secrets' %}
      |      ^^^^^^^^^^^^^^^^^^^^ tried to include non-existing template '../secrets'
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    ");
    assert_snapshot!(with("{{ n() }}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:4
      |
    1 | {{ n() }}
      |    ^^^ value of type number is not callable
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    ");
    assert_snapshot!(with("{{ 1 / 0 }}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:4
      |
    1 | {{ 1 / 0 }}
      |    ^^^^^ unable to calculate 1 / 0
     --> cookbooks/web/recipes/default.star:2:16
      |
    2 | template('/a', source = 't.j2', vars = {'n': 1, 'list': []})
      |                ^^^^^^^^^^^^^^^ rendered here
    ");
    assert_snapshot!(wrong("template('/a')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | template('/a')
      | ^^^^^^^^^^^^^^ template needs `source`, a file below the cookbook's `templates`
    ");
    assert_snapshot!(wrong("template('/a', source = 'none.j2')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:16
      |
    1 | template('/a', source = 'none.j2')
      |                ^^^^^^^^^^^^^^^^^^ no template `templates/none.j2`
    ");
    assert_snapshot!(wrong("template('/a', source = 1)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:16
      |
    1 | template('/a', source = 1)
      |                ^^^^^^^^^^ `source` is the path of a file of the cookbook, not a whole number
    ");
    let taken = Scene::of("template('/a', source = 't.j2', vars = {'node': 1})")
        .file("web/templates/t.j2", "");
    assert_snapshot!(taken.wrong(), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:33
      |
    1 | template('/a', source = 't.j2', vars = {'node': 1})
      |                                 ^^^^^^^^^^^^^^^^^^ `node` is what templates call the attributes; take another name
    ");
    assert_snapshot!(Scene::of("template('/a', source = 't.j2', vars = 1)").wrong(), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:33
      |
    1 | template('/a', source = 't.j2', vars = 1)
      |                                 ^^^^^^^^ `vars` is a dict, not a whole number
    ");
    assert_snapshot!(wrong("file('/a', source = '../x')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', source = '../x')
      |            ^^^^^^^^^^^^^^^ `../x` is no path below the cookbook's `files`
    ");
    assert_snapshot!(wrong("file('/a', source = 'x')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', source = 'x')
      |            ^^^^^^^^^^^^ no file `files/x` in cookbook `web`
    ");
    assert_snapshot!(wrong("file('/a', source = 'x', content = 'y')"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', source = 'x', content = 'y')
      |            ^^^^^^^^^^^^ `source` and `content` both say what the content is
    ");
    let one = Scene::of("file('/a', source = 'moted')").file("web/files/motd", "");
    assert_snapshot!(one.wrong(), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', source = 'moted')
      |            ^^^^^^^^^^^^^^^^ no file `files/moted` in cookbook `web`; did you mean `files/motd`?
    ");
    let binary = Scene::of("template('/a', source = 't.j2')").file("web/templates/t.j2", [0xff]);
    assert_snapshot!(binary.wrong(), @"
    error: failed to evaluate recipe `web::default`
      caused by: `cookbooks/web/templates/t.j2` is not UTF-8
     --> cookbooks/web/recipes/default.star:1:16
      |
    1 | template('/a', source = 't.j2')
      |                ^^^^^^^^^^^^^^^ rendered here
    ");
}
