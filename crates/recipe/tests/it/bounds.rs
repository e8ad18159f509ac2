//! What runs away is stopped.

use insta::assert_snapshot;

use recipe::Cause;
use report::{Failure, Kind};

use crate::scene::Scene;

fn wrong(recipe: &str) -> String {
    Scene::of(recipe).wrong()
}

#[test]
fn of_the_language() {
    assert_snapshot!(wrong("for i in range(1000000):\n    for j in range(1000000):\n        pass"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:5
      |
    2 |     for j in range(1000000):
      |     ^^^^^^^^^^^^^^^^^^^^^^^^ more than 1000000 calls and rounds of loops
    hint: is there a loop that does not end?
    ");
    assert_snapshot!(wrong("x = [i for i in range(1000000) for j in range(1000000)]"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | x = [i for i in range(1000000) for j in range(1000000)]
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ more than 1000000 calls and rounds of loops
    hint: is there a loop that does not end?
    ");
    assert_snapshot!(wrong("def f(n):\n    return f(n + 1)\nf(0)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:14
      |
    2 |     return f(n + 1)
      |              ^^^^^ calls nest deeper than 100
     --> cookbooks/web/recipes/default.star:2:12
      |
    2 |     return f(n + 1)
      |            ^^^^^^^^ `f` is called here
     --> cookbooks/web/recipes/default.star:3:1
      |
    3 | f(0)
      | ^^^^ `f` is called here
    ");
    assert_snapshot!(wrong("x = 'xx'\nfor i in range(60):\n    x = x + x"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:3:5
      |
    3 |     x = x + x
      |     ^^^^^^^^^ values of the recipe take more than 128 MiB
    ");
    assert_snapshot!(wrong("x = 'xx'\nfor i in range(60):\n    x += x"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:3:5
      |
    3 |     x += x
      |     ^^^^^^ values of the recipe take more than 128 MiB
    ");
    assert_snapshot!(wrong("x = 'x' * 1000000000"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:5
      |
    1 | x = 'x' * 1000000000
      |     ^^^^^^^^^^^^^^^^ `*` would make more than 16777216 bytes or items
    ");
    assert_snapshot!(wrong("x = 1000000000 * [0]"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:5
      |
    1 | x = 1000000000 * [0]
      |     ^^^^^^^^^^^^^^^^ `*` would make more than 16777216 bytes or items
    ");
    assert_snapshot!(wrong("x = [0] * (1 << 70)"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:5
      |
    1 | x = [0] * (1 << 70)
      |     ^^^^^^^^^^^^^^ `*` would make more than 16777216 bytes or items
    ");
    assert_snapshot!(wrong("x = [('x' * 1000) * 1000 for i in range(1000)]"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:1
      |
    1 | x = [('x' * 1000) * 1000 for i in range(1000)]
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ values of the recipe take more than 128 MiB
    ");
    assert_snapshot!(wrong("x = ('x' * 1000) * 1000\ny = [x + x for i in range(1000)]"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:1
      |
    2 | y = [x + x for i in range(1000)]
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ values of the recipe take more than 128 MiB
    ");
    assert_snapshot!(wrong("x = ('x' * 1000) * 1000\ny = ['%s%s' % (x, x) for i in range(1000)]"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:1
      |
    2 | y = ['%s%s' % (x, x) for i in range(1000)]
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ values of the recipe take more than 128 MiB
    ");
    assert_snapshot!(wrong("x = list(range(2000000000))"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:10
      |
    1 | x = list(range(2000000000))
      |          ^^^^^^^^^^^^^^^^^ a `range` of more than 1000000 numbers
    ");
    assert_snapshot!(wrong("x = 1 << 100001"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:5
      |
    1 | x = 1 << 100001
      |     ^^^^^^^^^^^ integer overflow computing left shift
    ");
}

#[test]
fn of_nesting() {
    assert_snapshot!(wrong(&format!("y = 2\nx = {}1{}", "(".repeat(1000), ")".repeat(1000))), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:2:205
      |
    2 | x = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((
      |                                                                                                                                                                 ^ brackets nest deeper than 200
    ");
    let chain = wrong(&format!("x = 1{}", " + 1".repeat(100_000 / 4)));
    assert!(chain.contains("more than 2000 operators in one expression"), "{chain}");
    // What is just within the bounds does not take all of the stack.
    let deepest = recipe::limits::MAX_CHAIN - recipe::limits::MAX_BRACKETS;
    for (before, after) in [
        ("not ", ""),
        ("-", ""),
        ("lambda: ", ""),
        ("1 if 1 else ", ""),
        ("", "+1"),
        ("", " and 1"),
    ] {
        let (before, after) = (before.repeat(deepest / 2), after.repeat(deepest));
        let brackets = recipe::limits::MAX_BRACKETS - 2;
        let (open, close) = ("(".repeat(brackets), ")".repeat(brackets));
        let recipe = format!("x = {open}{before}1{after}{close}");
        Scene::of(&recipe).right();
    }
    let calls = format!("f = lambda: f\nx = lambda: f{}", "()".repeat(deepest));
    Scene::of(&calls).right();
    let branches = format!("if False:\n  pass\n{}", "elif False:\n  pass\n".repeat(1999));
    Scene::of(&branches).right();
    let blocks: String = (0..400).map(|depth| format!("{}if 1:\n", " ".repeat(depth))).collect();
    Scene::of(&format!("{blocks}{}pass", " ".repeat(400))).right();
}

#[test]
fn of_files() {
    let long = format!("x = '{}'", "x".repeat(recipe::limits::MAX_SOURCE_BYTES));
    assert_snapshot!(wrong(&long), @"
    error: failed to evaluate recipe `web::default`
      caused by: `cookbooks/web/recipes/default.star` is longer than 262144 bytes
    ");
    let chain = |scene: Scene, number: u32| {
        let recipe = format!("include_recipe('web::r{}')", number + 1);
        scene.file(&format!("web/recipes/r{number}.star"), recipe)
    };
    let deep = (0..40).fold(Scene::of("include_recipe('web::r0')"), chain).wrong();
    assert!(deep.contains("recipes and libraries nest deeper than 32 files"), "{deep}");
    let large = Scene::of("file('/a', source = 'x')")
        .file("web/files/x", vec![b'x'; recipe::limits::MAX_FILE_BYTES + 1]);
    assert_snapshot!(large.wrong(), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/recipes/default.star:1:12
      |
    1 | file('/a', source = 'x')
      |            ^^^^^^^^^^^^ `cookbooks/web/files/x` is larger than 16777216 bytes
    ");
}

#[test]
fn of_templates() {
    let with = |template: &str| {
        Scene::of("file('/a', content = render('t.j2'))")
            .file("web/templates/t.j2", template)
            .wrong()
    };
    let endless =
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}";
    assert_snapshot!(with(endless), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:41
      |
    1 | {% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}
      |                                         ^^^^^^^^^^^^^ more than 1000000 steps: is there a loop that does not end?
     --> cookbooks/web/recipes/default.star:1:29
      |
    1 | file('/a', content = render('t.j2'))
      |                             ^^^^^^ rendered here
    ");
    assert_snapshot!(with("{% include 't.j2' %}{% include 't.j2' %}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:4
      |
    1 | {% include 't.j2' %}{% include 't.j2' %}
      |    ^^^^^^^^^^^^^^ includes and macros nest deeper than 50
     --> cookbooks/web/templates/t.j2:1:4
      |
    1 | {% include 't.j2' %}{% include 't.j2' %}
      |    ^^^^^^^^^^^^^^ included here
     --> cookbooks/web/recipes/default.star:1:29
      |
    1 | file('/a', content = render('t.j2'))
      |                             ^^^^^^ rendered here
    ");
    assert_snapshot!(with("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:19
      |
    1 | {% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}
      |                   ^^^ includes and macros nest deeper than 50
     --> cookbooks/web/recipes/default.star:1:29
      |
    1 | file('/a', content = render('t.j2'))
      |                             ^^^^^^ rendered here
    ");
    assert_snapshot!(with("{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}"), @"
    error: failed to evaluate recipe `web::default`
      caused by: the text is longer than 16777216 bytes
     --> cookbooks/web/recipes/default.star:1:29
      |
    1 | file('/a', content = render('t.j2'))
      |                             ^^^^^^ rendered here
    ");
    assert_snapshot!(with("{{ 'x' * 1000000000000 }}"), @"
    error: failed to evaluate recipe `web::default`
     --> cookbooks/web/templates/t.j2:1:4
      |
    1 | {{ 'x' * 1000000000000 }}
      |    ^^^^^^^^^^^^^^^^^^^ repeated string is too large
     --> cookbooks/web/recipes/default.star:1:29
      |
    1 | file('/a', content = render('t.j2'))
      |                             ^^^^^^ rendered here
    ");
}

#[test]
fn an_evaluation_can_be_ended() {
    let mut scene = Scene::of("for i in range(1000000):\n    pass");
    assert!(scene.wrong().contains("more than 1000000 calls"));
    scene.cancelled = true;
    assert_snapshot!(scene.wrong(), @"
    error: failed to evaluate recipe `web::default`
      caused by: told to end
    ");
}

#[test]
fn each_kind_of_failure_is_told_apart() {
    let mut endless = Scene::of("for i in range(1000000):\n    pass");
    let kind = |scene: &Scene| {
        let problem = scene.evaluate().unwrap_err();
        (problem.cause, Failure::from(problem).kind)
    };
    assert_eq!(kind(&endless), (Cause::Limit, Kind::Usage));
    endless.cancelled = true;
    assert_eq!(kind(&endless), (Cause::Cancelled, Kind::Interrupted));
    let unreachable = Scene::of("include_recipe('unreachable')");
    assert_eq!(kind(&unreachable), (Cause::Unavailable, Kind::Unavailable));
    assert_eq!(kind(&Scene::of("x")), (Cause::Invalid, Kind::Usage));
    for recursion in ["def f():\n    f()\nf()", "x = 'x' * 1000000000"] {
        assert_eq!(kind(&Scene::of(recursion)), (Cause::Limit, Kind::Usage));
    }
}
