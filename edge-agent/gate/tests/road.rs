//! Programs that leave the road do not compile.

#[test]
fn programs_that_leave_the_road_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
