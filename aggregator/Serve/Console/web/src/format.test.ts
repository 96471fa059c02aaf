import { describe, expect, it } from "vitest";
import { burnRate, bytes, coverage, duration, finality, kpiName, share, value } from "./format";

describe("kpiName", () => {
  it("takes title and unit from the record's name", () => {
    expect(kpiName("kpi:revenue_per_hour:euros")).toEqual({ record: "kpi:revenue_per_hour:euros", title: "Revenue per hour", unit: "euros" });
  });
  it("has no unit when the name has none", () => {
    expect(kpiName("kpi:orders").unit).toBe("");
  });
});

describe("value", () => {
  it("shows money, ratios, short times and plain numbers", () => {
    expect(value(1234.5, "euros")).toBe("€1,234.50");
    expect(value(0.00011, "euros")).toBe("€0.00011");
    expect(value(0.99912, "ratio")).toBe("99.912 %");
    expect(value(0.0123, "seconds")).toBe("12.3 ms");
    expect(value(42, "per_minute")).toBe("42 per minute");
    expect(value(NaN, "euros")).toBe("–");
  });
});

describe("duration and bytes", () => {
  it("choose a readable unit", () => {
    expect(duration(250)).toBe("250 ms");
    expect(duration(61_000)).toBe("1 min 1 s");
    expect(duration(90_000_000)).toBe("1 d 1 h");
    expect(bytes(1536)).toBe("1.5 KiB");
  });
});

describe("error budgets", () => {
  it("shows what is left, overspent budgets too, and how fast it burns", () => {
    expect(share(0.4567)).toBe("45.7 %");
    expect(share(-1.5)).toBe("-150 %");
    expect(burnRate(14.4)).toBe("14 ×");
    expect(burnRate(0.25)).toBe("0.25 ×");
    expect(burnRate(null)).toBe("not");
  });
});

describe("coverage", () => {
  it("says 100 % only where nothing is missing", () => {
    expect([1, 0.99999, 0.9876, 0.57, 0].map(coverage)).toEqual(["100 %", "99.99 %", "98.76 %", "57 %", "0 %"]);
    expect(coverage(null)).toBe("unknown");
  });
});

describe("finality", () => {
  it("tells how much is here while a number is provisional", () => {
    expect(finality({ state: "provisional", coverage: 0.5 })).toMatch(/^provisional, 50.* here$/);
    expect(finality({ state: "provisional", coverage: null })).toBe("provisional");
    expect(finality({ state: "sealed", coverage: 1 })).toBe("sealed");
    expect(finality(null)).toBe("");
  });
});
