"""The page in a real browser, compared with the warehouse it was made from."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.browser.chromium import Browser
from tests.report import expected
from tests.report.conftest import Report
from tests.report.page_checks import (
    DESKTOP,
    PHONE,
    READ,
    TEAMS,
    check_charts,
    check_layout,
    check_report,
    opened,
)
from tests.report.world import LAST, NASTY, SHOPS, TODAY


def test_what_a_reader_sees_is_what_the_warehouse_has(
    browser: Browser, report_file: Path, warehouse: str
) -> None:
    assert check_report(browser, report_file, warehouse, TODAY) > 1500


def test_a_day_that_is_not_over_is_in_no_headline(
    browser: Browser, report: Report, warehouse: str, tmp_path: Path
) -> None:
    file = tmp_path / "partial.html"
    report(warehouse, file, today=LAST)
    assert check_report(browser, file, warehouse, LAST) > 1500
    with opened(browser, file, DESKTOP) as tab:
        notes = tab.evaluate(
            "[...document.querySelectorAll('.headline .note')].map((n) => n.textContent)"
        )
        assert any(str(LAST - timedelta(days=1)) in note for note in notes)
        assert not any(str(LAST) in note for note in notes if "30 days" not in note)
        said = tab.evaluate("document.querySelector('article .so-far').textContent")
        assert said.startswith(f"{LAST} is not over")
        marks = tab.evaluate(
            "[...document.querySelectorAll('.mark.partial')]"
            ".map((m) => [m.dataset.label, getComputedStyle(m).opacity])"
        )
        assert marks and {tuple(mark) for mark in marks} == {(str(LAST), "0.45")}


def test_every_team_of_every_shop_has_kpis_and_charts(browser: Browser, report_file: Path) -> None:
    with opened(browser, report_file, DESKTOP) as tab:
        counts = tab.evaluate("""[...document.querySelectorAll("section.team")].map(
            (s) => [s.dataset.team, s.querySelectorAll("[data-headline]").length,
                s.querySelectorAll("svg.chart").length])""")
    assert [team for team, *_ in counts] == TEAMS * len(SHOPS) + ["Data quality"]
    assert all(headlines >= 3 for _, headlines, _ in counts)
    assert all(charts >= 2 for team, _, charts in counts if team != "Data quality")


def test_hostile_names_are_text_and_nothing_else(browser: Browser, report_file: Path) -> None:
    with opened(browser, report_file, DESKTOP) as tab:
        cells = tab.evaluate("[...document.querySelectorAll('td')].map((c) => c.textContent)")
        assert {NASTY, "rug & 'co'", "“fair” <b>", "茶碗-03", "a" * 120} <= set(cells)
        assert "\N{REPLACEMENT CHARACTER}[31mred" in cells
        assert tab.evaluate(
            "[document.scripts.length, document.querySelectorAll('td b').length]"
        ) == [1, 0]


def test_a_script_that_got_in_would_not_run(
    browser: Browser, report_file: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(
        report_file.read_text().replace(
            "<main>",
            "<main><script>window.broken = true</script><img src='https://example.com/x.png'>",
        )
    )
    with browser.page(broken.as_uri(), *DESKTOP) as tab:
        assert tab.evaluate("window.broken") is None
        assert any("Content Security Policy" in str(problem) for problem in tab.problems()), (
            "the check of the console would see it"
        )


def test_a_link_leads_to_a_team_of_a_shop(browser: Browser, report_file: Path) -> None:
    with browser.page(report_file.as_uri() + "#shop1-finance", *PHONE) as tab:
        assert tab.evaluate(READ)["name"] == sorted(SHOPS)[1]
        assert tab.evaluate("document.querySelectorAll('nav a').length") == (len(TEAMS) + 1) * len(
            SHOPS
        )
        assert tab.evaluate(
            "[...document.querySelectorAll('nav a')].every((a) => document.querySelector(a.hash))"
        )


def test_without_scripts_all_shops_are_shown(browser: Browser, report_file: Path) -> None:
    with opened(browser, report_file, PHONE, scripts=False) as tab:
        assert tab.evaluate(
            "[...document.querySelectorAll('article.shop')].map((s) => s.checkVisibility())"
        ) == [True] * len(SHOPS)
        assert not tab.evaluate("document.querySelector('#shop').checkVisibility()")
        check_layout(tab, PHONE)


def test_the_page_prints_without_navigation(browser: Browser, report_file: Path) -> None:
    with opened(browser, report_file, DESKTOP) as tab:
        tab.call("Emulation.setEmulatedMedia", media="print")
        assert not tab.evaluate("document.querySelector('nav').checkVisibility()")
        assert tab.evaluate("document.querySelector('svg.chart').checkVisibility()")
        assert tab.pdf().startswith(b"%PDF-")


def test_controls_and_charts_have_accessible_names(browser: Browser, report_file: Path) -> None:
    with opened(browser, report_file, DESKTOP) as tab:
        tab.call("Accessibility.enable")
        nodes = [
            node for node in tab.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]
        ]
        named = {
            role: [n.get("name", {}).get("value", "") for n in nodes if n["role"]["value"] == role]
            for role in ("image", "combobox", "region", "link")
        }
        assert (
            len(named["image"])
            == tab.evaluate(
                "[...document.querySelectorAll('svg.chart')]"
                ".filter((c) => c.checkVisibility()).length"
            )
            > 0
        )
        assert all(name for names in named.values() for name in names)
        assert tab.evaluate(
            "new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size"
            " === document.querySelectorAll('[id]').length"
        )


def test_an_empty_warehouse_makes_a_page_that_says_so(
    browser: Browser, report: Report, server: str, tmp_path: Path
) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("drop database if exists empty")
        connection.execute("create database empty")
    file = tmp_path / "empty.html"
    report(server.rpartition("/")[0] + "/empty", file)
    with opened(browser, file, PHONE) as tab:
        assert "No KPI has been loaded yet." in tab.evaluate("document.body.innerText")
        check_layout(tab, PHONE)


@pytest.mark.parametrize("change", ["net_sales = net_sales + 0.0001", "currency = 'USD'"])
def test_the_comparison_sees_the_smallest_change(
    browser: Browser, report_file: Path, warehouse: str, change: str
) -> None:
    one = """(select ctid from sales.total_sales_by_region_product
        where shop_id = 'acme' and currency = 'GBP' order by business_date desc limit 1)"""
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            f"update sales.total_sales_by_region_product set {change} where ctid = {one}"
        )
        want = expected.charts(connection, "acme", TODAY)
        connection.rollback()
        assert want != expected.charts(connection, "acme", TODAY)
    with opened(browser, report_file, DESKTOP) as tab, pytest.raises(AssertionError):
        check_charts(tab.evaluate(READ), "shop0-", want, TODAY)
