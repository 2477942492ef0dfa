import java.util.ArrayList;
import java.util.List;
import java.util.Scanner;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/** Computes in several threads, leaving much garbage, and checks what comes out. */
public class Sum {
    private static final AtomicBoolean gone = new AtomicBoolean();
    private static final AtomicLong progress = new AtomicLong();

    /** Sum of 1..n by way of objects; the garbage collector has work with them. */
    private static long round(int n) {
        List<long[]> kept = new ArrayList<>();
        for (int i = 1; i <= n; i++) {
            long[] piece = new long[50];
            piece[i % 50] = i;
            kept.add(piece);
        }
        long sum = 0;
        for (long[] piece : kept) {
            for (long value : piece) sum += value;
        }
        return sum;
    }

    private static long work() {
        long rounds = 0;
        while (!gone.get() || rounds < 20) {
            long sum = round(2000);
            if (sum != 2001000) throw new IllegalStateException("sum " + sum);
            rounds++;
            progress.incrementAndGet();
        }
        return rounds;
    }

    public static void main(String[] arguments) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(3);
        List<Future<Long>> results = new ArrayList<>();
        for (int i = 0; i < 3; i++) results.add(pool.submit(Sum::work));
        while (progress.get() < 100) Thread.sleep(1);
        System.out.println("ready");
        new Scanner(System.in).nextLine();
        long before = progress.get();
        while (progress.get() < before + 100) Thread.sleep(1);
        System.gc();
        gone.set(true);
        long sum = 0;
        for (Future<Long> result : results) sum += result.get();
        pool.shutdown();
        if (sum != progress.get()) throw new IllegalStateException("rounds " + sum + ", counted " + progress.get());
        System.out.println("ok");
    }
}
