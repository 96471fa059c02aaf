import { useEffect, useRef } from "react";
import uPlot from "uplot";

/** A small line of one series over the last minutes; times in Unix seconds. */
export function Sparkline({ times, values, label }: { times: number[]; values: (number | null)[]; label: string }) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    const chart = new uPlot(
      {
        width: Math.max(element.clientWidth, 80),
        height: 56,
        legend: { show: false },
        cursor: { show: false },
        axes: [{ show: false }, { show: false }],
        scales: { x: { time: true } },
        padding: [4, 2, 4, 2],
        series: [{}, { stroke: "#1c7ed6", width: 1.5, fill: "rgba(28, 126, 214, 0.12)", points: { show: false } }],
      },
      [[], []],
      element,
    );
    plot.current = chart;
    const watch = new ResizeObserver(() => chart.setSize({ width: Math.max(element.clientWidth, 80), height: 56 }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => {
    plot.current?.setData([times, values]);
  }, [times, values]);
  return <div ref={holder} role="img" aria-label={label} data-points={values.length} />;
}
