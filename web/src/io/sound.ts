/**
 * A short sound for what is critical: two tones, made here, no file.
 *
 * Rules of this file: a browser lets a page sound only after a first click or key in it, so it is made ready then and
 * stays silent before; several incidents at once are one sound; a browser that cannot sound does not.
 */
const TONES_HZ = [660, 880] as const;
const TONE_S = 0.16;
const LOUDNESS = 0.12;
const PAUSE_MS = 5_000;

export class Chime {
  private context: AudioContext | null = null;
  private playedMs = -Infinity;

  constructor(private readonly nowMs: () => number) {}

  /** Gets ready at the first click or key. */
  listen(target: Pick<Window, "addEventListener" | "removeEventListener">): void {
    const arm = (): void => {
      target.removeEventListener("pointerdown", arm);
      target.removeEventListener("keydown", arm);
      if ("AudioContext" in globalThis) this.context ??= new AudioContext();
    };
    target.addEventListener("pointerdown", arm);
    target.addEventListener("keydown", arm);
  }

  play(): void {
    const { context } = this;
    if (context === null || this.nowMs() - this.playedMs < PAUSE_MS) return;
    this.playedMs = this.nowMs();
    void context.resume();
    TONES_HZ.forEach((pitch, i) => tone(context, pitch, context.currentTime + i * TONE_S));
  }
}

/** Swells and fades: a tone that is cut off clicks. */
function tone(context: AudioContext, pitch: number, atS: number): void {
  const oscillator = new OscillatorNode(context, { frequency: pitch });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, atS);
  gain.gain.linearRampToValueAtTime(LOUDNESS, atS + TONE_S * 0.2);
  gain.gain.linearRampToValueAtTime(0, atS + TONE_S);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(atS);
  oscillator.stop(atS + TONE_S);
}
