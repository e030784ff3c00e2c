/* 200 threads that do what servers in Java do: monitors, locks, conditions, barriers, sleeps, parks, interrupts, sockets both
 * blocking and through a selector, garbage and System.gc(), and the faults that the JVM makes exceptions of. What is printed
 * depends on nothing but the arguments: natively and under handoff it must be the same. */
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Semaphore;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

public class Threads {
    static final int THREADS = 200, ROUNDS = 20;

    interface Body {
        void run(int index) throws Exception;
    }

    static final AtomicInteger failures = new AtomicInteger();

    static void check(boolean true_, String what) {
        if (!true_)
            throw new IllegalStateException(what);
    }

    /* body(0..n-1) in threads of their own, all of which must end without an exception. */
    static void together(String name, int n, Body body) throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            int index = i;
            Thread t = new Thread(() -> {
                try {
                    body.run(index);
                } catch (Throwable e) {
                    if (failures.getAndIncrement() == 0)
                        System.out.println("FAILED " + Thread.currentThread().getName() + ": " + e);
                }
            }, name + "-" + i);
            t.start();
            threads.add(t);
        }
        for (Thread t : threads)
            t.join();
    }

    /* ---- locks ---- */

    static int inMonitor;
    static long inLock;
    static int turn;

    static void locks() throws Exception {
        Object monitor = new Object();
        ReentrantLock lock = new ReentrantLock(), fair = new ReentrantLock(true);
        ReentrantReadWriteLock rw = new ReentrantReadWriteLock();
        Semaphore semaphore = new Semaphore(7);
        AtomicInteger inside = new AtomicInteger(), most = new AtomicInteger();
        CyclicBarrier barrier = new CyclicBarrier(THREADS);
        ConcurrentHashMap<Integer, Integer> map = new ConcurrentHashMap<>();
        long[] read = new long[1];
        together("lock", THREADS, index -> {
            Random random = new Random(index);
            for (int i = 0; i < ROUNDS; i++) {
                synchronized (monitor) {
                    inMonitor++;
                    if (random.nextInt(50) == 0)
                        monitor.wait(1);
                }
                lock.lock();
                try {
                    inLock += index;
                } finally {
                    lock.unlock();
                }
                fair.lock();
                fair.unlock();
                if (random.nextInt(4) == 0) {
                    rw.writeLock().lock();
                    read[0]++;
                    rw.writeLock().unlock();
                } else {
                    rw.readLock().lock();
                    check(read[0] >= 0, "read");
                    rw.readLock().unlock();
                }
                semaphore.acquire();
                int now = inside.incrementAndGet();
                most.accumulateAndGet(now, Math::max);
                if (random.nextInt(8) == 0)
                    Thread.sleep(1);
                inside.decrementAndGet();
                semaphore.release();
                map.merge(i, index, Integer::sum);
                if (i % 10 == 9)
                    barrier.await(120, TimeUnit.SECONDS);
                if (index % 50 == 0 && i % 10 == 5)
                    System.gc();
            }
        });
        long sum = 0;
        for (int v : map.values())
            sum += v;
        check(most.get() <= 7, "semaphore let " + most.get() + " in");
        System.out.println("locks " + inMonitor + " " + inLock + " " + sum);
    }

    static void turns() throws Exception {
        ReentrantLock lock = new ReentrantLock();
        Condition changed = lock.newCondition();
        StringBuilder order = new StringBuilder();
        turn = 0;
        together("turn", 20, index -> {
            for (int i = 0; i < 10; i++) {
                lock.lock();
                try {
                    while (turn % 20 != index)
                        check(changed.await(120, TimeUnit.SECONDS), "no turn");
                    order.append((char) ('a' + index));
                    turn++;
                    changed.signalAll();
                } finally {
                    lock.unlock();
                }
            }
        });
        System.out.println("turns " + order);
    }

    static void queues() throws Exception {
        BlockingQueue<Integer> bounded = new ArrayBlockingQueue<>(3);
        SynchronousQueue<Integer> hand = new SynchronousQueue<>();
        AtomicLong sum = new AtomicLong(), handed = new AtomicLong();
        together("queue", 40, index -> {
            for (int i = 0; i < 50; i++) {
                if (index % 2 == 0)
                    bounded.put(index * 50 + i);
                else
                    sum.addAndGet(bounded.take());
                if (index % 2 == 1)
                    hand.put(i);
                else
                    handed.addAndGet(hand.take());
            }
        });
        check(bounded.poll(20, TimeUnit.MILLISECONDS) == null, "something left");
        System.out.println("queues " + sum + " " + handed);
    }

    /* ---- sleeps, parks, interrupts ---- */

    static void sleeps() throws Exception {
        AtomicInteger early = new AtomicInteger(), interrupted = new AtomicInteger(), parked = new AtomicInteger();
        together("sleep", THREADS, index -> {
            long start = System.nanoTime();
            Thread.sleep(5 + index % 20);
            if (System.nanoTime() - start < (5 + index % 20) * 1000000L)
                early.incrementAndGet();
            LockSupport.parkNanos(1000000);
        });
        together("interrupt", 20, index -> {
            Thread t = new Thread(() -> {
                try {
                    if (index % 2 == 0)
                        Thread.sleep(600000);
                    else
                        synchronized (this_(index)) {
                            this_(index).wait();
                        }
                } catch (InterruptedException e) {
                    interrupted.incrementAndGet();
                }
            });
            t.start();
            t.interrupt();
            t.join();
            Thread p = new Thread(() -> {
                LockSupport.park();
                parked.incrementAndGet();
            });
            p.start();
            LockSupport.unpark(p);
            p.join();
        });
        System.out.println("sleeps early " + early + " interrupted " + interrupted + " parked " + parked);
    }

    static final Object[] MONITORS = IntStream.range(0, 64).mapToObj(i -> new Object()).toArray();

    static Object this_(int index) {
        return MONITORS[index];
    }

    /* ---- sockets ---- */

    static void sockets() throws Exception {
        AtomicInteger lines = new AtomicInteger(), late = new AtomicInteger();
        try (ServerSocket server = new ServerSocket(0, 256, InetAddress.getLoopbackAddress())) {
            Thread acceptor = new Thread(() -> {
                try {
                    for (;;) {
                        Socket s = server.accept();
                        Thread echo = new Thread(() -> {
                            try (s) {
                                BufferedReader in = new BufferedReader(new InputStreamReader(s.getInputStream()));
                                PrintWriter out = new PrintWriter(s.getOutputStream(), true);
                                for (String line; (line = in.readLine()) != null;)
                                    out.println(new StringBuilder(line).reverse());
                            } catch (IOException e) {
                                failures.incrementAndGet();
                            }
                        });
                        echo.setDaemon(true);
                        echo.start();
                    }
                } catch (IOException e) { // closed: how accept ends
                }
            });
            acceptor.start();
            together("client", THREADS / 2, index -> {
                try (Socket s = new Socket(InetAddress.getLoopbackAddress(), server.getLocalPort())) {
                    s.setSoTimeout(120000);
                    BufferedReader in = new BufferedReader(new InputStreamReader(s.getInputStream()));
                    PrintWriter out = new PrintWriter(s.getOutputStream(), true);
                    for (int i = 0; i < ROUNDS; i++) {
                        String line = "line " + index + " " + i;
                        out.println(line);
                        check(new StringBuilder(line).reverse().toString().equals(in.readLine()), "another answer");
                        lines.incrementAndGet();
                        if (index % 25 == 0 && i == 10)
                            System.gc();
                    }
                    if (index % 10 == 0) {
                        s.setSoTimeout(20);
                        try {
                            in.read();
                        } catch (SocketTimeoutException e) {
                            late.incrementAndGet();
                        }
                    }
                }
            });
            server.close();
            acceptor.join();
        }
        System.out.println("sockets " + lines + " timeouts " + late);
    }

    static void selector() throws Exception {
        AtomicInteger bytes = new AtomicInteger();
        Selector selector = Selector.open();
        ServerSocketChannel server = ServerSocketChannel.open();
        server.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 256);
        int port = ((InetSocketAddress) server.getLocalAddress()).getPort();
        server.configureBlocking(false);
        server.register(selector, SelectionKey.OP_ACCEPT);
        Thread loop = new Thread(() -> {
            ByteBuffer buffer = ByteBuffer.allocate(4096);
            try {
                while (!Thread.interrupted()) {
                    selector.select();
                    for (SelectionKey key : selector.selectedKeys()) {
                        if (key.isAcceptable()) {
                            SocketChannel c = server.accept();
                            if (c != null) {
                                c.configureBlocking(false);
                                c.register(selector, SelectionKey.OP_READ);
                            }
                        } else if (key.isReadable()) {
                            SocketChannel c = (SocketChannel) key.channel();
                            buffer.clear();
                            if (c.read(buffer) < 0) {
                                c.close();
                                continue;
                            }
                            buffer.flip();
                            while (buffer.hasRemaining())
                                c.write(buffer);
                        }
                    }
                    selector.selectedKeys().clear();
                }
            } catch (IOException e) {
                failures.incrementAndGet();
            }
        }, "selector");
        loop.start();
        together("channel", 50, index -> {
            try (SocketChannel c = SocketChannel.open(new InetSocketAddress(InetAddress.getLoopbackAddress(), port))) {
                for (int i = 1; i <= ROUNDS; i++) {
                    ByteBuffer out = ByteBuffer.allocate(i * 10), in = ByteBuffer.allocate(i * 10);
                    while (out.hasRemaining())
                        c.write(out);
                    while (in.hasRemaining())
                        check(c.read(in) > 0, "short");
                    bytes.addAndGet(in.position());
                }
            }
        });
        loop.interrupt();
        loop.join();
        server.close();
        selector.close();
        System.out.println("selector " + bytes);
    }

    /* ---- what the JVM does by signals ---- */

    static int depth(int n) {
        return n < 0 ? n : 1 + depth(n + 1);
    }

    static void faults() throws Exception {
        AtomicInteger nulls = new AtomicInteger(), zeros = new AtomicInteger(), overflows = new AtomicInteger();
        int[] divisor = new int[1];
        Object[] none = new Object[1];
        together("fault", 20, index -> {
            for (int i = 0; i < 200; i++) {
                try {
                    none[0].hashCode();
                } catch (NullPointerException e) {
                    nulls.incrementAndGet();
                }
                try {
                    divisor[0] = i / divisor[0];
                } catch (ArithmeticException e) {
                    zeros.incrementAndGet();
                }
            }
            try {
                depth(0);
            } catch (StackOverflowError e) {
                overflows.incrementAndGet();
            }
        });
        System.out.println("faults " + nulls + " " + zeros + " " + overflows);
    }

    /* ---- pools, garbage ---- */

    static void pools() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(16);
        CompletableFuture<Long> sum = CompletableFuture.completedFuture(0L);
        for (int i = 0; i < 200; i++) {
            int n = i;
            sum = sum.thenCombine(CompletableFuture.supplyAsync(() -> {
                byte[][] garbage = new byte[50][];
                for (int j = 0; j < garbage.length; j++)
                    garbage[j] = new byte[10000 + n];
                return (long) garbage[n % 50].length;
            }, pool), Long::sum);
        }
        long total = sum.get(120, TimeUnit.SECONDS);
        pool.shutdown();
        check(pool.awaitTermination(60, TimeUnit.SECONDS), "pool");
        long stream = new ForkJoinPool(4).submit(() -> LongStream.range(0, 300000).parallel().map(v -> v * v % 7).sum()).get();
        System.out.println("pools " + total + " " + stream);
    }

    public static void main(String[] args) throws Exception {
        locks();
        turns();
        queues();
        sleeps();
        sockets();
        selector();
        faults();
        pools();
        Process p = new ProcessBuilder("sh", "-c", "cat; exit 3").start();
        p.getOutputStream().write("to a child".getBytes());
        p.getOutputStream().close();
        System.out.println("child " + new String(p.getInputStream().readAllBytes()) + " " + p.waitFor());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
        System.out.println("failures " + failures);
        System.exit(failures.get() == 0 ? 0 : 1);
    }
}
